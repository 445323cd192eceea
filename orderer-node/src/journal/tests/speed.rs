//! Figures, not judgements: how fast a journal is written and read on the disk under the temporary directory.

use std::sync::Arc;
use std::time::Instant;

use super::fixture::*;
use crate::disk::DirDisk;
use crate::journal::{Durability, Journal, JournalOptions};
use mod_smart::{InstanceId, Record};

#[test]
fn prints_commits_per_second_and_replay_speed() {
    for (durability, commits, per_commit) in
        [(Durability::Full, 200, 1), (Durability::Full, 100, 100), (Durability::None, 100, 1000)]
    {
        let root = tempfile::tempdir().unwrap();
        let options = JournalOptions { durability, ..JournalOptions::default() };
        let open =
            || Journal::open(Arc::new(DirDisk::open(root.path()).unwrap()), GROUP, options, InstanceId(0)).unwrap();
        let (mut journal, _) = open();
        let record = |number| if number % 10 == 0 { voted(number) } else { Record::Body(request(number, 1000)) };
        let records: Vec<Record> = (1..=commits * per_commit).map(record).collect();
        let start = Instant::now();
        let mut bytes = 0;
        for records in records.chunks(per_commit as usize) {
            append(&mut journal, records);
            bytes += journal.commit().unwrap().bytes;
        }
        let written = start.elapsed().as_secs_f64();
        drop(journal);
        let start = Instant::now();
        let (journal, replay) = open();
        let shown = replay.map(Result::unwrap).count();
        let read = start.elapsed().as_secs_f64();
        drop(journal);
        assert_eq!(shown as u64, commits * per_commit);
        let rate = |seconds: f64| (shown as f64 / seconds, bytes as f64 / seconds / 1e6);
        let ((appends, written), (shows, read)) = (rate(written), rate(read));
        println!(
            "{durability:?} {per_commit} per commit: {appends:.0} records/s {written:.0} MB/s written, {shows:.0} records/s {read:.0} MB/s read twice"
        );
    }
}
