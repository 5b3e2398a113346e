# A parent that is neither Python nor Node: two forked workers, each of which is replaced when it dies.
use strict;
use warnings;

sub start { my $pid = fork(); return if $pid; sleep 60 while 1; }

start() for 1 .. 2;
while (wait() > 0) { start(); }
