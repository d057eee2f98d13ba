# yajl, JSON in and out: neap::yajl.
package_part(yajl MODULE yajl PACKAGE libyajl-dev LICENCE ISC)
