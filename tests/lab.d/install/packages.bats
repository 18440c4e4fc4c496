#!/usr/bin/env bats
# What cpack makes: that it is complete, clean, and the same each time. Not in the lab,
# where dpkg's database is hidden.
# Once: what is in a package, and how it is made.
# bats file_tags=once
# shellcheck disable=SC2154 # bats and tree.bash set the variables

bats_require_minimum_version 1.5.0
top=$(cd "$BATS_TEST_DIRNAME/../../.." && pwd)
. "$top/tests/lib/tree.bash"

setup_file() {
    local package

    export unpacked=$BATS_FILE_TMPDIR/unpacked
    for package in portsmith portsmith-client libportsmith0 libportsmith-dev; do
        mkdir -p "$unpacked"
        dpkg-deb -R "$packaged/${package}_"*.deb "$unpacked/$package"
    done
}

@test "lintian has neither errors nor warnings" {
    lintian --allow-root --fail-on error,warning "$packaged"/*.deb
}

@test "each program has its manual, its completions and, in one package alone, its place" {
    local program root page

    for program in "$unpacked"/*/usr/{bin,sbin,libexec/portsmith}/*; do
        [ -e "$program" ] || continue
        root=${program%%/usr/*} program=${program##*/}
        page=$(echo "$root"/usr/share/man/man?/"${program%-sets}".?.gz)
        gzip -d -c "$page" | mandoc -T lint -W error
        [[ $program != portsmith-@(sniffer|witness|prepare|helper|helper-sets|helper-nftables|cut) ]] || continue
        [ -e "$root/usr/share/bash-completion/completions/$program" ]
        [ -e "$root/usr/share/zsh/vendor-completions/_$program" ]
        [ -e "$root/usr/share/fish/vendor_completions.d/$program.fish" ]
    done
    run comm -12 <(cd "$unpacked/portsmith" && find . -type f ! -path './DEBIAN/*' | sort) \
        <(cd "$unpacked/portsmith-client" && find . -type f ! -path './DEBIAN/*' | sort)
    [ -z "$output" ]
}

@test "each depends on the libraries that its programs need, and the server on no firewall program" {
    local depends recommends

    depends=$(dpkg-deb -f "$packaged"/portsmith_*.deb Depends)
    for word in libpcap libsodium libcap-ng libseccomp libqrencode libjansson libc6; do
        [[ $depends == *$word* ]]
    done
    [[ $depends != *iptables* && $depends != *nftables* ]]
    recommends=$(dpkg-deb -f "$packaged"/portsmith_*.deb Recommends)
    [ "$recommends" = "iptables | nftables" ]
    depends=$(dpkg-deb -f "$packaged"/portsmith-client_*.deb Depends)
    [[ $depends == *libuv1* && $depends != *iptables* && $depends != *libpcap* ]]
}

@test "what is linked with the library depends on its package, which has nothing but the library" {
    local root=$unpacked/libportsmith0

    [ "$(cd "$root/usr/lib" && find . ! -type d | sed 's:.*/::' | sort)" = "libportsmith.so.0
libportsmith.so.0.2.0" ]
    grep -x -E 'libportsmith 0 libportsmith0 \(>= [0-9.]+\)' "$root/DEBIAN/shlibs"
    grep -x 'activate-noawait ldconfig' "$root/DEBIAN/triggers"
    [[ $(dpkg-deb -f "$packaged"/libportsmith0_*.deb Depends) == *libsodium* ]]
    [[ $(dpkg-deb -f "$packaged"/libportsmith-dev_*.deb Depends) == "libportsmith0 (= "* ]]
    root=$unpacked/libportsmith-dev
    [ "$(readlink -f "$root"/usr/lib/*/libportsmith.so)" != "" ]
    cmp "$root/usr/include/portsmith.h" "$top/client/library/portsmith.h"
    [[ $(PKG_CONFIG_PATH=$(echo "$root"/usr/lib/*/pkgconfig) pkg-config --libs libportsmith) == "-lportsmith"* ]]
    gzip -d -c "$root/usr/share/man/man3/portsmith.3.gz" | mandoc -T lint -W error
}

@test "the scripts are right, as far as shellcheck knows" {
    local script name

    for script in "$unpacked"/portsmith/DEBIAN/{postinst,prerm,postrm} "$packaged"/packages/rpm/*; do
        shellcheck -s sh "$script"
    done
}

@test "the OpenRC script is a shell's, and starts and signals what the package has" {
    local script=$unpacked/portsmith/usr/share/doc/portsmith/examples/portsmithd.openrc

    head -n 1 "$script" | grep -x '#!/sbin/openrc-run'
    shellcheck -s sh -e SC2034,SC2154 <(sed '1s/.*/#!\/bin\/sh/' "$script")
    grep -x "command=/usr/sbin/portsmithd" "$script"
}

@test "AppArmor's parser takes the profile, and finds its nine parts" {
    local profile=$unpacked/portsmith/etc/apparmor.d/portsmithd

    apparmor_parser --skip-kernel-load --skip-cache "$profile"
    diff <(apparmor_parser --names "$profile") - <<'PARTS'
portsmithd
portsmithd//cut
portsmithd//helper
portsmithd//helper-nftables
portsmithd//nft
portsmithd//prepare
portsmithd//sniffer
portsmithd//witness
portsmithd//xtables
PARTS
}

@test "the RPMs have the same files, and scripts" {
    local pair deb rpm

    for pair in portsmith portsmith-client; do
        deb=$(cd "$unpacked/$pair" && find . -type f | grep -v -e DEBIAN |
            sed 's,^\.,,; s,vendor-completions,site-functions,' | sort)
        rpm=$(rpm -qplv --noartifact "$packaged/$pair"-0*.rpm | awk '/^-/ { print $NF }' | sort)
        diff <(echo "$deb") <(echo "$rpm")
    done
    [[ $(rpm -qp --scripts "$packaged"/portsmith-0*.rpm) == *useradd*"portsmith-firewall remove >/dev/null || true"$'\n'*([[:blank:]])"on_host portsmithd --release"*daemon-reload* ]]
    [ "$(rpm -qp --recommends "$packaged"/portsmith-0*.rpm)" = "(iptables or nftables)" ]
}

# But for rpm's own and libc, whose names are the same everywhere.
wanted_by() { # PACKAGE
    rpm -qp --requires "$packaged/$1"-0*.rpm | grep -v -e '^rpmlib(' -e '^config(' -e '^rtld(' -e '^ld-linux' -e '^libc\.so\.6' | sort -u
}

# By common/packages/README.md: packages of EL, a line each.
named_in_table() { # server or client
    awk -F ' *[|] *' -v package="$1" '$4 ~ /^`/ && index($5, package) { gsub("`", "", $4); print $4 }' \
        "$top/common/packages/README.md"
}

@test "the RPMs want the packages that the table names, and libc's versions" {
    diff <(wanted_by portsmith) <({ named_in_table server; echo /bin/sh; } | LC_ALL=C sort)
    diff <(wanted_by portsmith-client) <(named_in_table client | LC_ALL=C sort)
    [[ $(rpm -qp --requires "$packaged"/portsmith-0*.rpm) == *'libc.so.6(GLIBC_2.'* ]]
}

# Each complaint that stays is explained there.
@test "rpmlint has nothing to say" {
    rpmlint --strict --config "$top/common/packages/rpmlint.toml" "$packaged"/*.rpm
}

@test "no package is made without a maintainer, and none names anybody else" {
    local bare=$BATS_TEST_TMPDIR/bare named

    cmake -S "$top" -B "$bare" -DPORTSMITH_SERVER=OFF
    run ! cpack --config "$bare/CPackConfig.cmake" -B "$bare"
    [[ $output == *"PORTSMITH_MAINTAINER is '', and not a name with an address"* ]]
    [ "$(dpkg-deb -f "$packaged"/portsmith_*.deb Maintainer)" = "$maintainer" ]
    named=$(find "$unpacked" -name changelog.gz -exec zcat {} + | grep -o -E '[^ ]+ <[^ ]+@[^ ]+>' | sort -u)
    [ "$named" = "${maintainer#* }" ]
    [ -z "$(rpm -qp --queryformat '[%{CHANGELOGNAME}]' "$packaged"/*.rpm)" ]
    named=$(find "$unpacked" -path '*/man/*.gz' -exec zcat {} + | grep '^Report bugs' | sort -u)
    [ "$named" = "Report bugs to $maintainer." ]
}

# ---- the bill of materials -------------------------------------------------

# What SPDX 2.3 has every document say, and references that lead somewhere.
is_spdx() { # FILE
    python3 - "$1" <<'END'
import json, re, sys
bill = json.load(open(sys.argv[1]))
assert bill["spdxVersion"] == "SPDX-2.3" and bill["dataLicense"] == "CC0-1.0"
assert bill["SPDXID"] == "SPDXRef-DOCUMENT" and bill["name"]
assert re.fullmatch(r"https?://[^#\s]+", bill["documentNamespace"])
made = bill["creationInfo"]
assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["created"])
assert all(re.match(r"(Organization|Person|Tool): \S", who) for who in made["creators"]) and made["creators"]
ids = {"SPDXRef-DOCUMENT"}
for package in bill["packages"]:
    assert re.fullmatch(r"SPDXRef-[a-zA-Z0-9.-]+", package["SPDXID"]) and package["SPDXID"] not in ids
    assert package["name"] and package["versionInfo"] and package["downloadLocation"] == "NOASSERTION"
    assert package["filesAnalyzed"] is False and package["licenseDeclared"]
    ids.add(package["SPDXID"])
related = set()
for relation in bill["relationships"]:
    assert relation["relationshipType"] in ("DESCRIBES", "DYNAMIC_LINK")
    assert relation["spdxElementId"] in ids and relation["relatedSpdxElement"] in ids
    related.add(relation["relatedSpdxElement"])
assert related == ids - {"SPDXRef-DOCUMENT"}
END
}

bill() { # PACKAGE
    echo "$unpacked/$1/usr/share/doc/$1/$1.spdx.json"
}

@test "each package's bill of materials is SPDX 2.3" {
    local package

    for package in portsmith portsmith-client libportsmith0 libportsmith-dev; do
        is_spdx "$(bill "$package")"
    done
}

# The libraries' files are called as pkg-config calls them, but for a "lib".
@test "it names what the programs link, all of it, in the version that is here" {
    local package linked named

    for package in portsmith portsmith-client libportsmith0; do
        linked=$(readelf --dynamic --wide "$unpacked/$package"/usr/{bin,sbin,libexec/portsmith,lib/*}/* 2>/dev/null |
            sed -n 's/.*(NEEDED).*\[lib\(.*\)\.so.*/\1/p' | grep -v -x c | sort -u)
        named=$(python3 -c 'import json, sys
for package in json.load(open(sys.argv[1]))["packages"][1:]:
    print(package["name"], package["versionInfo"])' "$(bill "$package")")
        diff <(echo "$linked") <(cut -d' ' -f1 <<<"$named" | sed 's/^lib//' | sort)
        while read -r name version; do
            [ "$(pkg-config --modversion "$name")" = "$version" ]
        done <<<"$named"
    done
}

# ---- the sources -----------------------------------------------------------

is_a_clean_clone() {
    [ -e "$top/.git" ] && [ -z "$(git -C "$top" status --porcelain)" ]
}

@test "the source package has what is committed, and another build of it gives the same bytes" {
    local away=$build_directory/another-place # Installed-Size, by du, is the file system's

    is_a_clean_clone || skip "there are changes that are not committed"
    rm -rf "$away"
    mkdir "$away"
    (cd "$away" && cpack --config "$packaged/CPackSourceConfig.cmake" -B "$away" &&
        umask 077 && tar -xzf portsmith-*.tar.gz)
    cd "$away"/portsmith-*/
    diff <(find . -type f -o -type l | sed 's,^\./,,' | LC_ALL=C sort) <(git -C "$top" ls-files | LC_ALL=C sort)
    unset SOURCE_DATE_EPOCH
    cmake -B out -DCMAKE_INSTALL_PREFIX=/usr "-DPORTSMITH_MAINTAINER=$maintainer"
    cmake --build out --parallel "$(nproc)" >build.log
    cpack --config out/CPackConfig.cmake -G "DEB;RPM"
    for package in *.deb *.rpm; do
        cmp "$package" "$packaged/$package"
    done
    (umask 077 && cpack --config out/CPackConfig.cmake -G DEB -B "$away/closed")
    run ! grep -v '^drwxr-xr-x' <(dpkg-deb --contents "$away"/closed/portsmith_0*.deb | grep '^d')
}
