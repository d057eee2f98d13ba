# libedit, line editing of the console: neap::libedit.
package_part(libedit
  MODULE libedit PACKAGE libedit-dev LICENCE BSD-3-Clause)
