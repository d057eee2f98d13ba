# PCRE2, regular expressions: neap::pcre2.
package_part(pcre2 MODULE libpcre2-8 PACKAGE libpcre2-dev LICENCE BSD-3-Clause)
