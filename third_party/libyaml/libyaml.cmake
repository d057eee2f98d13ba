# libyaml, YAML in and out: neap::libyaml.
package_part(libyaml MODULE yaml-0.1 PACKAGE libyaml-dev LICENCE MIT)
