//! Posthaste as a whole: real processes, real clients, faults. One binary, so that the harness is
//! linked once; one file per topic.

#![allow(clippy::print_stderr)]

mod bad_input;
mod bench;
mod bulk;
mod clocks;
mod cluster;
mod crash;
mod curl;
mod demo;
mod dialogues;
mod differential;
mod disks;
mod dkim;
mod dovecot;
mod dsn;
mod failing_disk;
mod faults;
mod init;
mod keeping;
mod ledger;
mod letters;
mod logins;
mod mail;
mod mail_elsewhere;
mod mbsync;
mod migrate;
mod msmtp;
mod mutt;
mod outgoing;
mod peers;
mod pop3;
mod postfix;
mod python;
mod rebuild;
mod roles;
mod sieve;
mod swaks;
mod tls_policy;
mod together;
mod torture;
mod verbs;
mod verdict;
