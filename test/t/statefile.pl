# A state file that is torn, damaged, foreign, or of another version never stops a start: it is set aside as it is, one
# WARNING says why, and counters start from zero. Where no file can be made, the limiter works in memory and says so.
#
# Most starts here are single-user ones: they open the file by the same code and take a tenth of the time.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use File::Copy qw(copy);
use IPC::Run ();
use PattylyNode;
use PostgreSQL::Test::Utils;
use Test::More;

# Where the header has what; see FileIdentity and FileSeal in statefile.c.
my %AT = (format => 8, capacity => 12, size => 16, system => 24, secret => 32, crc => 48, saved_at => 56, sealed => 64, body_crc => 68);
my $HEADER = 4096;

my $node = new_server('statefile', 'pattyly.max_keys = 100');
my $directory = $node->data_dir . '/pg_stat_tmp';
my $path = "$directory/pattyly_limits.state";
my $aside = "$path.set-aside";

at($node, $T0, q{
	SELECT pattyly.set_limit('fixed', 10, '3000 days', 'fixed_window');
	SELECT pattyly.set_limit('log', 20, '3000 days', 'sliding_log');
	SELECT pattyly.set_limit('smooth', 10, '3000 days');
	SELECT pattyly.allow('fixed', 'a', 3), pattyly.allow('log', 'a', 20), pattyly.allow('smooth', 'a', 4);
	SELECT pattyly.allow('fixed', 'k' || n) FROM generate_series(1, 20) n});
my $unsealed = slurp_file($path);
$node->stop;
my $sealed = slurp_file($path);

# ---- tools ----

sub bytes_of { my ($file) = @_; return -f $file ? slurp_file($file) : undef }

sub write_bytes
{
	my ($file, $bytes) = @_;
	open my $handle, '>:raw', $file or die "could not write $file: $!";
	print $handle $bytes;
	close $handle or die "could not write $file: $!";
}

sub clear_away
{
	for my $file ($path, $aside, "$path.new")
	{
		-d $file && !-l $file ? rmdir $file : unlink $file;
	}
}

sub with_number { my ($bytes, $at, $format, $value) = @_; my $new = pack $format, $value; substr($bytes, $at, length $new) = $new; return $bytes }
sub with_flip { my ($bytes, $at) = @_; substr($bytes, $at, 1) = chr(ord(substr $bytes, $at, 1) ^ 0x40); return $bytes }

# Starts a single-user server. Says what it logged, and what three limits have left after one more unit is used.
sub start_once
{
	my ($out, $err) = ('', '');
	my $sql = "SET pattyly.frozen_clock = '$T0'\n" . join '',
	  map { "SELECT (pattyly.check_limit('$_', 'a')).remaining\n" } qw(fixed log smooth);
	my $clean = IPC::Run::run(
		[ 'postgres', '--single', '-D', $node->data_dir, 'postgres' ],
		'<', \$sql, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	return { clean => $clean, log => $err, left => join ' ', $out =~ /remaining = "(\d+)"/g };
}

my $FROM_ZERO = '9 19 9';
my $KEPT = '6 0 5';

sub warnings_of { my ($start) = @_; return [ $start->{log} =~ /((?:WARNING|PANIC|FATAL|ERROR): .*)/g ] }

# One start with what was put in the file's place; returns what is wrong about it, nothing when all is right.
sub faults_of_refusal
{
	my ($reason, $bytes) = @_;
	my $start = start_once();
	my $warnings = warnings_of($start);
	my @faults;

	push @faults, 'did not start: ' . substr $start->{log}, 0, 500 unless $start->{clean};
	push @faults, "left $start->{left}, not $FROM_ZERO" unless $start->{left} eq $FROM_ZERO;
	push @faults, "said @$warnings" unless @$warnings == 1 && $warnings->[0] =~ /WARNING: +could not use pattyly state file ".*": $reason/;
	push @faults, 'did not keep the file as it was' if defined $bytes && (bytes_of($aside) // '') ne $bytes;
	push @faults, 'made no new file' unless (-s $path // 0) == length $sealed;
	return @faults;
}

# Starts once with each of these contents, a hash of names to bytes.
sub each_is_refused
{
	my ($name, $reason, $contents) = @_;
	my %wrong;
	for my $one (sort keys %$contents)
	{
		clear_away();
		write_bytes($path, $contents->{$one});
		my @faults = faults_of_refusal($reason, $contents->{$one});
		$wrong{$one} = \@faults if @faults;
	}
	is_deeply(\%wrong, {}, "$name (" . keys(%$contents) . ' starts)') or diag explain \%wrong;
}

sub is_kept
{
	my ($name, $bytes) = @_;
	clear_away();
	write_bytes($path, $bytes) if defined $bytes;
	my $start = start_once();
	is_deeply([ $start->{clean}, $start->{left}, warnings_of($start) ], [ 1, defined $bytes ? $KEPT : $FROM_ZERO, [] ], $name)
	  or diag $start->{log};
	ok(!-e $aside, "$name: nothing was set aside");
}

# ---- files that are right ----

is(length $unsealed, length $sealed, 'the file has a fixed size');
is_kept('a sealed file', $sealed);
is_kept('a file that was not sealed', $unsealed);
is_kept('no file', undef);
is_kept('a file whose seal was not finished', with_number($sealed, $AT{sealed}, 'L', 0));

subtest 'what a killed start left is no hindrance' => sub {
	clear_away();
	write_bytes($path, $sealed);
	write_bytes("$path.new", 'x' x 100_000);
	my $start = start_once();
	is_deeply([ $start->{left}, warnings_of($start) ], [ $KEPT, [] ], 'beside a good file');
	unlink $path;
	write_bytes("$path.new", 'x' x 100_000);
	$start = start_once();
	is_deeply([ $start->{left}, warnings_of($start) ], [ $FROM_ZERO, [] ], 'without one');
	is(-s $path, length $sealed, 'the new file has its size');
};

# ---- files that are wrong ----

my @every_512th = map { $_ * 512 } 1 .. (length($sealed) - 1) / 512;

each_is_refused('an empty file', 'it is cut off in its header', { empty => '' });
each_is_refused('cut off in the header', 'it is cut off in its header',
	{ map { $_ => substr $sealed, 0, $_ } grep { $_ < $HEADER } 1, 75, @every_512th });
each_is_refused('cut off after it', 'it is cut off',
	{ map { $_ => substr $sealed, 0, $_ } grep { $_ >= $HEADER } @every_512th, length($sealed) - 1 });
each_is_refused('not sealed and cut off', 'it is cut off',
	{ map { $_ => substr $unsealed, 0, $_ } $HEADER, 12288, length($unsealed) - 1 });
each_is_refused('too long', 'it is too long', { map { $_ => $sealed . "\0" x $_ } 1, 4096 });
each_is_refused('garbage', 'it is no pattyly state file',
	{ text => "hello\n" x 5000, zeros => "\0" x length $sealed, ones => "\xff" x length $sealed, magic => with_flip($sealed, 0) });
each_is_refused('an older format', 'it was written by an older version', { older => with_number($sealed, $AT{format}, 'L', 0) });
each_is_refused('a newer format', 'it was written by a newer version',
	{ map { $_ => with_number($sealed, $AT{format}, 'L', $_) } 2, 0xffffffff });
each_is_refused('a flipped byte in the identity', 'its header is damaged',
	{ map { $_ => with_flip($sealed, $AT{$_}) } qw(capacity size system secret crc) });
each_is_refused('a flipped byte in the identity of a file that was not sealed', 'its header is damaged',
	{ map { $_ => with_flip($unsealed, $AT{$_}) } qw(capacity secret) });
each_is_refused('a flipped byte in the seal', 'its contents are damaged',
	{ map { $_ => with_flip($sealed, $AT{$_}) } qw(saved_at sealed body_crc) });
each_is_refused('a flipped byte in the contents', 'its contents are damaged',
	{ map { $_ => with_flip($sealed, $_) } $HEADER, (grep { $_ > $HEADER } map { $_ + 13 } @every_512th[8 .. $#every_512th]), length($sealed) - 1 });

subtest 'a file of another cluster' => sub {
	my $other = new_server('other', 'pattyly.max_keys = 100');
	at($other, $T0, "SELECT pattyly.set_limit('fixed', 10, '1 day'); SELECT pattyly.allow('fixed', 'a')");
	$other->stop;
	each_is_refused('it is foreign', 'it belongs to another database system',
		{ sealed => slurp_file($other->data_dir . '/pg_stat_tmp/pattyly_limits.state') });
};

# A file that no shutdown sealed has no checksum of its contents: after a crash of the machine some pages may be old,
# zero, or noise. Whatever stands in them, the server starts, and its limiter works.
sub noise { my ($seed) = @_; srand $seed; return join '', map { pack 'L', int rand 2**32 } 1 .. (length($sealed) - $HEADER) / 4 }

sub starts_with_contents
{
	my ($name, $contents) = @_;
	clear_away();
	write_bytes($path, substr($unsealed, 0, $HEADER) . substr $contents, 0, length($sealed) - $HEADER);
	my $start = start_once();
	my $again = start_once();
	ok($start->{clean} && $again->{clean}, "$name: starts") or diag $start->{log};
	like($start->{left}, qr/^\d+ \d+ \d+$/, "$name: the limiter answers");
}

# A number in the first half of every eight bytes and one in the second: lock words, links and numbers of slots alike.
sub pairs { my ($first, $second) = @_; return pack('LL', $first, $second) x length $sealed }

sub with_old_pages
{
	my ($pages, $old) = @_;
	my $body = substr $unsealed, $HEADER;
	substr($body, 4096 * $_, 4096) = substr $old, 4096 * $_, 4096 for grep { 4096 * ($_ + 1) <= length $body } @$pages;
	return $body;
}

subtest 'a file that was not sealed, with damaged contents' => sub {
	starts_with_contents("noise $_", noise($_)) for 1 .. 3;
	starts_with_contents('zeros', "\0" x length $sealed);
	starts_with_contents('ones', "\xff" x length $sealed);
	starts_with_contents(sprintf('pairs %x %x', @$_), pairs(@$_))
	  for [ 1, 0x18000000 ], [ 1, 0x18000001 ], [ 2, 0x38000001 ], [ 1, 0x28000002 ], [ 3, 0x20000005 ], [ 1, 1 ], [ 1, 16 ];
	my $zeros = "\0" x length $sealed;
	starts_with_contents("page $_ zero", with_old_pages([$_], $zeros)) for 0 .. 5;
	starts_with_contents("page $_ noise", with_old_pages([$_], noise($_))) for 0 .. 5;
};

# ---- what is no file at all ----

subtest 'a directory in its place' => sub {
	clear_away();
	mkdir $path or die $!;
	is_deeply([ faults_of_refusal('it cannot be opened') ], [], 'is set aside');
	ok(-d $aside, 'as it was');
};

subtest 'a file that cannot be read' => sub {
	plan skip_all => 'root reads everything' if $> == 0;
	for my $mode (0000, 0400, 0200)
	{
		clear_away();
		write_bytes($path, $sealed);
		chmod $mode, $path;
		is_deeply([ faults_of_refusal('it cannot be opened') ], [], sprintf 'mode %03o: is set aside', $mode);
		chmod 0600, $aside;
		is(bytes_of($aside), $sealed, 'as it was');
	}
};

subtest 'a link that leads nowhere' => sub {
	clear_away();
	symlink "$directory/nothing", $path or die $!;
	my $start = start_once();
	is_deeply([ $start->{clean}, $start->{left}, warnings_of($start) ], [ 1, $FROM_ZERO, [] ], 'is no hindrance');
	ok(-f $path && !-l $path, 'and a new file stands there');
};

# ---- no file can be made ----

sub works_in_memory
{
	my ($name, $reason) = @_;
	my $start = start_once();
	is_deeply([ $start->{clean}, $start->{left} ], [ 1, $FROM_ZERO ], "$name: starts and counts");
	like(join("\n", @{ warnings_of($start) }), qr/^WARNING: +could not make pattyly state file ".*": $reason$/, "$name: one WARNING says why");
	like($start->{log}, qr/Counters will not survive a restart.*HINT/s, "$name: what it means, and what to do");
}

SKIP:
{
	skip 'there is no /dev/full', 4 unless -c '/dev/full';
	clear_away();
	symlink '/dev/full', "$path.new" or die $!;
	works_in_memory('a full disk', 'No space left on device');
	ok(!-e "$path.new" && !-l "$path.new" && !-e $path, 'nothing is left behind');
}

SKIP:
{
	skip 'root writes everywhere', 6 if $> == 0;
	clear_away();
	chmod 0500, $directory;
	works_in_memory('an unwritable directory', 'Permission denied');
	chmod 0700, $directory;

	clear_away();
	write_bytes($path, $sealed);
	chmod 0500, $directory;
	my $start = start_once();
	is_deeply([ $start->{clean}, $start->{left}, warnings_of($start) ], [ 1, $KEPT, [] ], 'a good file in an unwritable directory is used');
	chmod 0700, $directory;

	write_bytes($path, 'garbage');
	chmod 0500, $directory;
	$start = start_once();
	is_deeply([ $start->{clean}, $start->{left} ], [ 1, $FROM_ZERO ], 'a bad file in an unwritable directory: starts and counts in memory');
	like($start->{log}, qr/WARNING: .*it is cut off in its header.*WARNING: .*could not make/s, 'and says both');
	chmod 0700, $directory;
}

# Another pattyly.max_keys means another file. The old one must stay good until the new one has taken its place, however
# the start in between ends.
subtest 'no room for a larger file: the old one stays good' => sub {
	plan skip_all => 'there is no /dev/full' unless -c '/dev/full';
	clear_away();
	write_bytes($path, $sealed);
	symlink '/dev/full', "$path.new" or die $!;
	$node->adjust_conf('postgresql.conf', 'pattyly.max_keys', '200');
	my $start = start_once();
	is_deeply([ $start->{clean}, $start->{left} ], [ 1, $KEPT ], 'the keys are carried over into memory');
	like(join("\n", @{ warnings_of($start) }), qr/^WARNING: +could not make pattyly state file ".*": No space left on device$/, 'with one WARNING');

	$node->adjust_conf('postgresql.conf', 'pattyly.max_keys', '100');
	$start = start_once();
	is_deeply([ $start->{clean}, $start->{left}, warnings_of($start) ], [ 1, $KEPT, [] ], 'with the old setting the old file is used as it was');
};

# ---- the same under a postmaster ----

subtest 'a whole server with a damaged file' => sub {
	my $mark = log_mark($node);
	clear_away();
	write_bytes($path, with_flip($sealed, 20_000));
	$node->start;
	my @complaints = split /\n/, complaints($node, $mark);
	is(@complaints, 1, 'one WARNING');
	like($complaints[0] // '', qr/WARNING: +could not use pattyly state file ".*": its contents are damaged/, 'names the reason');
	like(log_since($node, $mark), qr/DETAIL: +Counters start from zero\..*HINT: +The file was kept as/s, 'what it means, and what to do');
	is(at($node, $T0, q{SELECT (pattyly.check_limit('fixed', 'a')).remaining}), 9, 'counts from zero');
	is(at($node, undef, 'SELECT restored, saved_at FROM pattyly.limit_memory'), '0|', 'nothing was restored');

	$mark = log_mark($node);
	$node->restart;
	is(complaints($node, $mark), '', 'the next start is silent');
	is(at($node, $T0, q{SELECT (pattyly.check_limit('fixed', 'a')).remaining}), 8, 'and counts on');
	$node->stop;
};

subtest 'a whole server without a file' => sub {
	plan skip_all => 'root writes everywhere' if $> == 0;
	clear_away();
	chmod 0500, $directory;
	my $mark = log_mark($node);
	$node->start;
	is(at($node, $T0, q{SELECT (pattyly.check_limit('fixed', 'a')).remaining}), 9, 'counts in memory');
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	kill 9, $session->query_safe('SELECT pg_backend_pid()');
	ok(wait_for_restart($node, $mark), 'after a session was killed');
	$session->quit;
	is(at($node, $T0, q{SELECT (pattyly.check_limit('fixed', 'a')).remaining}), 8, 'it counts on');
	$node->restart;
	is(at($node, $T0, q{SELECT (pattyly.check_limit('fixed', 'a')).remaining}), 9, 'after a restart from zero, as was announced');
	is(() = complaints($node, $mark) =~ /could not make pattyly state file/g, 2, 'a WARNING each start');
	$node->stop;
	chmod 0700, $directory;
};

done_testing();
