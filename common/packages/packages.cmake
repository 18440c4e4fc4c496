# What cpack makes: a server and a client package, as .deb and .rpm; the library for other programs,
# as .deb; and the sources.
# Their paths are those that the programs were built for: -DCMAKE_INSTALL_PREFIX=/usr.

set(server_summary "port knocking by single signed packets: the server")
set(server_text
    "Keeps ports shut, and opens one for one address and a short while when an\n\
encrypted and signed packet knocks. Nothing listens for knocks and nothing\n\
answers: the daemon looks at copies of what comes in. What reads packets has\n\
no privileges; what changes the firewall checks each signature itself.")
set(client_summary "port knocking by single signed packets: the client")
set(client_text
    "Knocks at hosts that run Portsmith's server: as a command, as the\n\
ProxyCommand of ssh, or as a SOCKS proxy for other programs. It needs no\n\
privilege.")
set(library_summary "port knocking by single signed packets: the library")
set(library_text
    "Makes the datagrams by which programs knock at hosts that run Portsmith's\n\
server. It sends nothing itself.")
set(development_summary "port knocking by single signed packets: the library's header")
set(development_text
    "What it takes to build programs with libportsmith: the header, the manual\n\
with an example, and what pkg-config wants to know.")

# ---- what is linked --------------------------------------------------------

# Of each library: its license, and the package that has it on EL and Fedora (README.md beside
# this says where the names are from).
set(SODIUM_LICENSE ISC)
set(SODIUM_RPM libsodium)
set(JANSSON_LICENSE MIT)
set(JANSSON_RPM jansson)
set(UV_LICENSE MIT)
set(UV_RPM libuv)
set(PCAP_LICENSE BSD-3-Clause)
set(PCAP_RPM libpcap)
set(CAPNG_LICENSE LGPL-2.1-or-later)
set(CAPNG_RPM libcap-ng)
set(SECCOMP_LICENSE LGPL-2.1-only)
set(SECCOMP_RPM libseccomp)
set(QRENCODE_LICENSE LGPL-2.1-or-later)
set(QRENCODE_RPM qrencode-libs)

# An element of "packages", with lines to go before those that all have.
function(spdx_package out id name version license)
  string(JOIN ",\n      " lines "\"SPDXID\": \"SPDXRef-${id}\"" "\"name\": \"${name}\""
         "\"versionInfo\": \"${version}\"" "\"downloadLocation\": \"NOASSERTION\""
         "\"filesAnalyzed\": false" "\"licenseConcluded\": \"${license}\""
         "\"licenseDeclared\": \"${license}\"" "\"copyrightText\": \"NOASSERTION\"" ${ARGN})
  set(${out} "    {\n      ${lines}\n    }" PARENT_SCOPE)
endfunction()

function(spdx_relation out from type to)
  string(CONCAT line "    {\"spdxElementId\": \"SPDXRef-${from}\", \"relationshipType\": \"${type}\", "
                     "\"relatedSpdxElement\": \"SPDXRef-${to}\"}")
  set(${out} ${line} PARENT_SCOPE)
endfunction()

# A bill of materials in SPDX 2.3: the package, and the libraries that pkg-config found
# for it, named by the prefixes of their variables.
function(write_bill file name)
  spdx_package(packages package ${name} ${PROJECT_VERSION} ISC
               "\"primaryPackagePurpose\": \"APPLICATION\"")
  spdx_relation(relations DOCUMENT DESCRIBES package)
  foreach(library IN LISTS ARGN)
    set(module ${${library}_MODULE_NAME})
    string(CONCAT reference "\"externalRefs\": [{\"referenceCategory\": \"PACKAGE-MANAGER\", "
                            "\"referenceType\": \"purl\", "
                            "\"referenceLocator\": \"pkg:generic/${module}@${${library}_VERSION}\"}]")
    spdx_package(package ${module} ${module} ${${library}_VERSION} ${${library}_LICENSE}
                 "\"primaryPackagePurpose\": \"LIBRARY\"" ${reference})
    spdx_relation(relation package DYNAMIC_LINK ${module})
    string(APPEND packages ",\n${package}")
    string(APPEND relations ",\n${relation}")
  endforeach()
  string(TIMESTAMP created "%Y-%m-%dT%H:%M:%SZ" UTC)
  string(SHA256 digest "${packages}${created}")
  configure_file(common/packages/bill.json.in ${file} @ONLY)
endfunction()

# ---- all packages ---------------------------------------------------------

configure_file(common/packages/begin.cmake.in packages/begin.cmake @ONLY)
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_BINARY_DIR}/packages/begin.cmake)
configure_file(common/packages/staged.cmake.in packages/staged.cmake @ONLY)
configure_file(common/changelog packages/changelog @ONLY) # which names the maintainer
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_BINARY_DIR}/packages/staged.cmake)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # each has its own
set(CPACK_PACKAGE_CONTACT ${PORTSMITH_MAINTAINER})
set(CPACK_PACKAGE_VENDOR "Portsmith authors")
set(CPACK_SET_DESTDIR ON)
set(CPACK_PACKAGE_RELOCATABLE OFF)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_RPM_COMPONENT_INSTALL ON)
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_LICENSE ISC)
# Without a file CPack has one of its author's. The changes are in the documentation.
file(WRITE ${PROJECT_BINARY_DIR}/packages/empty "")
set(CPACK_RPM_CHANGELOG_FILE ${PROJECT_BINARY_DIR}/packages/empty)
# Of the libraries rpm looks at libc alone, whose versions are the same everywhere.
set(CPACK_RPM_SPEC_MORE_DEFINE "%define _build_id_links none\n%define _buildhost localhost\n\
%define use_source_date_epoch_as_buildtime 1\n%define clamp_mtime_to_source_date_epoch 1\n\
%global __requires_exclude ^lib([^c]|c[^.])")

# Its name, what it is, and which libraries' variables of pkg-config are of it.
macro(describe_package component name)
  set(requires "")
  foreach(library ${ARGN})
    list(APPEND requires ${${library}_RPM})
  endforeach()
  string(TOUPPER ${component} upper)
  set(CPACK_COMPONENT_${upper}_DESCRIPTION "${${component}_summary}\n${${component}_text}")
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${name})
  set(CPACK_RPM_${upper}_PACKAGE_NAME ${name})
  set(CPACK_RPM_${upper}_PACKAGE_SUMMARY ${${component}_summary})
  set(CPACK_RPM_${upper}_PACKAGE_DESCRIPTION ${${component}_text})
  list(JOIN requires ", " CPACK_RPM_${upper}_PACKAGE_REQUIRES)
  write_bill(packages/${component}.spdx.json ${name} ${ARGN})
  list(APPEND CPACK_COMPONENTS_ALL ${component})
endmacro()

describe_package(client portsmith-client SODIUM JANSSON UV)

# An RPM of the library would have other names and places, which nobody has tried: begin.cmake.
describe_package(library libportsmith0 SODIUM)
describe_package(development libportsmith-dev)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libportsmith0 (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA triggers shlibs none/postinst none/postrm)
file(WRITE ${PROJECT_BINARY_DIR}/packages/deb/triggers "activate-noawait ldconfig\n")
file(WRITE ${PROJECT_BINARY_DIR}/packages/deb/shlibs
     "libportsmith 0 libportsmith0 (>= ${PROJECT_VERSION})\n")
# Scripts that are named and not there keep CPack from writing some, which would call ldconfig, too.
list(TRANSFORM CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA PREPEND ${PROJECT_BINARY_DIR}/packages/deb/)

# ---- the server's ----------------------------------------------------------

# A maintainer script: what all of them share, then its own part.
function(write_script out format name)
  file(READ daemon/install/packages/functions shared)
  file(READ daemon/install/packages/${format}/${name} own)
  set(path ${PROJECT_BINARY_DIR}/packages/${format}/${name})
  file(WRITE ${path} "#!/bin/sh\nset -e\n\n${shared}\n${own}")
  file(CHMOD ${path} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                                 WORLD_READ WORLD_EXECUTE)
  set(${out} ${path} PARENT_SCOPE)
endfunction()

if(PORTSMITH_SERVER)
  describe_package(server portsmith SODIUM JANSSON PCAP CAPNG SECCOMP QRENCODE)

  file(WRITE ${PROJECT_BINARY_DIR}/packages/deb/conffiles "/etc/apparmor.d/portsmithd\n")
  set(CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/packages/deb/conffiles)
  foreach(name preinst postinst prerm postrm)
    write_script(path deb ${name})
    list(APPEND CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA ${path})
  endforeach()
  # The kernel alone will do: a host may have one of them, or neither.
  set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS "passwd")
  set(CPACK_DEBIAN_SERVER_PACKAGE_RECOMMENDS "iptables | nftables")
  set(CPACK_DEBIAN_SERVER_PACKAGE_SUGGESTS "portsmith-client, apparmor")

  write_script(CPACK_RPM_SERVER_POST_INSTALL_SCRIPT_FILE rpm post)
  write_script(CPACK_RPM_SERVER_PRE_UNINSTALL_SCRIPT_FILE rpm preun)
  write_script(CPACK_RPM_SERVER_POST_UNINSTALL_SCRIPT_FILE rpm postun)
  set(CPACK_RPM_SERVER_PACKAGE_REQUIRES_POST shadow-utils)
  # CPack knows no Recommends; this text becomes the line of the spec file as it is.
  string(APPEND CPACK_RPM_SERVER_PACKAGE_REQUIRES "\nRecommends: (iptables or nftables)")
  set(CPACK_RPM_SERVER_USER_FILELIST "%config(noreplace) /etc/apparmor.d/portsmithd")
endif()
# Directories of other packages.
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION
    /etc /etc/apparmor.d /usr/lib/systemd /usr/lib/systemd/system /usr/lib/systemd/user
    /usr/lib/sysusers.d /usr/libexec /usr/lib/tmpfiles.d /usr/sbin /usr/share/bash-completion
    /usr/share/bash-completion/completions /usr/share/fish /usr/share/fish/vendor_completions.d
    /usr/share/man /usr/share/man/man1 /usr/share/man/man5 /usr/share/man/man7
    /usr/share/man/man8 /usr/share/zsh /usr/share/zsh/site-functions)

# ---- the sources -----------------------------------------------------------

set(CPACK_SOURCE_GENERATOR TGZ)
set(CPACK_SOURCE_PACKAGE_FILE_NAME portsmith-${PROJECT_VERSION})
set(CPACK_SOURCE_INSTALLED_DIRECTORIES ${PROJECT_SOURCE_DIR}/common common) # the rest: staged.cmake

include(CPack)
