# Sourced by the scripts beside it: which PostgreSQL, as whom, from where. Nothing here changes the system, except that
# root gets a user to run servers as.
# shellcheck shell=bash

die() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# The major that the Debian under our feet carries.
debian_postgres_major() {
	local codename
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
	case $codename in
		bookworm) echo 15 ;;
		trixie) echo 17 ;;
		*) echo 18 ;;
	esac
}

# The Debian suite that carries a major (PostgreSQL 16 is in none).
debian_suite_of() {
	case $1 in
		15) echo bookworm ;;
		17) echo trixie ;;
		18) echo sid ;;
		*) return 1 ;;
	esac
}

# What is to be undone at the end, last first, however the script ends. Its jobs in the background end before.
declare -p exit_actions >/dev/null 2>&1 || exit_actions=()
run_exit_actions() {
	local status=$? action
	trap - EXIT
	# Whoever stops a tree of processes may stop this one twice.
	trap '' HUP INT TERM
	set +e
	for action in $(jobs -p); do stop_tree "$action"; done
	wait
	for action in "${exit_actions[@]}"; do eval "$action"; done
	exit "$status"
}
stop_tree() { # PID
	local child children
	# Listed first: when the parent is gone they belong to init.
	children=$(ps -o pid= --ppid "$1" 2>/dev/null)
	kill "$1" 2>/dev/null
	for child in $children; do stop_tree "$child"; done
}
at_exit() {
	exit_actions=("$1" "${exit_actions[@]}")
	trap run_exit_actions EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# PostgreSQL refuses to run as root, and so do we: whoever is not root stays who they are. The user must not be called
# pattyly: pg_regress makes a superuser of that name, whose default search_path would find the schema pattyly. SERVER_HOME
# is a directory for it, where one is needed.
server_user=pattyly_test
as_user() {
	if [ "$(id -u)" != 0 ]; then
		"$@"
	else
		id "$server_user" >/dev/null 2>&1 ||
			useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$server_user"
		setpriv --reuid="$server_user" --regid="$server_user" --clear-groups \
			env HOME="${SERVER_HOME:-/nonexistent}" USER="$server_user" LOGNAME="$server_user" "$@"
	fi
}

give_to_user() { # PATHS: hands files over; links themselves, never what they point to
	if [ "$(id -u)" = 0 ]; then
		as_user true
		chown -hR "$server_user:$server_user" "$@"
	fi
}

# Processes that are being killed may still write for a moment.
discard() { # DIRECTORIES
	local try
	for try in 1 2 3 4 5; do
		if rm -rf "$@" 2>/dev/null; then return 0; fi
		sleep "$try"
	done
	rm -rf "$@"
}

# A directory that the other user can enter. A socket's path must stay under 108 bytes, so a long TMPDIR is not used.
new_work_dir() {
	local parent=${TMPDIR:-/tmp} dir
	[ "${#parent}" -le 40 ] || parent=/tmp
	dir=$(mktemp -d "$parent/pattyly.XXXXXX")
	chmod 755 "$dir"
	echo "$dir"
}

# The sources without what a build or an editor left beside them.
copy_tree() { # FROM TO
	mkdir -p "$2"
	tar -C "$1" --exclude=./.git --exclude=./build --exclude=./tmp_check --exclude=./tmp_regress --exclude=./tmp_isolation \
		--exclude=./results --exclude=./log --exclude=./output_iso --exclude='./regression.*' --exclude=node_modules \
		--exclude='*.o' --exclude='*.bc' --exclude='*.so' --exclude='*.swp' -cf - . | tar -C "$2" -xf -
	rm -f "$2/sql/pattyly--$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" "$2/pattyly.control").sql"
}

# A server of our own. PostgreSQL finds its lib and share directories relative to its binary, so copied binaries beside
# links to everything else make an installation that "make install" can write to while the system's stays untouched.
private_server() { # PREFIX MAJOR
	local prefix=$1 major=$2 item
	local lib=$prefix/lib/postgresql/$major share=$prefix/share/postgresql/$major
	[ -x "/usr/lib/postgresql/$major/bin/postgres" ] || die "PostgreSQL $major is not installed in /usr/lib/postgresql/$major"
	mkdir -p "$lib/lib" "$share/extension"
	cp -a "/usr/lib/postgresql/$major/bin" "$lib/"
	ln -s "/usr/lib/postgresql/$major/lib"/* "$lib/lib/"
	for item in "/usr/share/postgresql/$major"/*; do
		[ "${item##*/}" = extension ] || ln -s "$item" "$share/"
	done
	ln -s "/usr/share/postgresql/$major/extension"/* "$share/extension/"
	ln -s /usr/include "$prefix/include"
	ln -s /usr/share/locale "$prefix/share/locale"
	# An installed pattyly would be overwritten through its links.
	rm -rf "$lib/lib/pattyly.so" "$share/extension/pattyly"[-.]*
	give_to_user "$prefix"
}

server_bin() { echo "$1/lib/postgresql/$2/bin"; } # PREFIX MAJOR

# make with the flags of this run only: a make above us must not hand down its own.
make_for() { # SECONDS TREE PG_CONFIG TARGET-AND-VARIABLES...
	local seconds=$1 tree=$2 pg_config=$3
	shift 3
	as_user env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL timeout -k 10 "$seconds" make --no-print-directory -C "$tree" PG_CONFIG="$pg_config" with_llvm=no "$@"
}
