//! What a journal says about the past of its replica: all of it, or so little that the replica may have forgotten what
//! it signed.

use std::sync::Arc;

use mod_smart::{GroupId, InstanceId};

use crate::checkpoint::{Found, Origin};
use crate::disk::Disk;
use crate::journal::{Journal, JournalError, JournalOptions, Replay};

/// Why a journal is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Useless {
    /// It holds nothing.
    Empty,
    /// It was damaged, or a part of it is lost.
    Damaged(String),
}

/// The instance after which the newest checkpoint was taken.
pub(super) fn instance_of(newest: Option<&Found>) -> InstanceId {
    newest.map_or(InstanceId(0), |found| found.checkpoint.instance)
}

/// Opens the journal, if it is of use to a replica with this checkpoint.
///
/// # Errors
/// The disk fails, or the journal is another group's or version's.
pub(super) fn open(
    disk: &Arc<dyn Disk>,
    group: GroupId,
    options: JournalOptions,
    newest: Option<&Found>,
) -> Result<Result<(Journal, Replay), Useless>, JournalError> {
    let after = instance_of(newest);
    let (journal, replay) = match Journal::open(Arc::clone(disk), group, options, after) {
        Ok(opened) => opened,
        Err(error) if error.is_damage() => return Ok(Err(Useless::Damaged(error.to_string()))),
        Err(error) => return Err(error),
    };
    let summary = replay.summary();
    if let Some(torn) = summary.torn {
        let (segment, offset, bytes) = (torn.segment, torn.offset, torn.bytes);
        tracing::warn!(segment, offset, bytes, "the journal ended in a torn write, which was cut off");
    }
    if summary.records == 0 {
        return Ok(Err(Useless::Empty));
    }
    // The mark was durable before the checkpoint was taken.
    if newest.is_some_and(|found| found.origin == Origin::Ours) && !journal.reader().has_mark(after) {
        return Ok(Err(Useless::Damaged(format!(
            "the journal does not hold the mark of the checkpoint after instance {after}: its end was lost"
        ))));
    }
    tracing::debug!(segments = summary.segments, records = summary.records, bytes = summary.bytes, "the journal");
    Ok(Ok((journal, replay)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use mod_smart::{Record, Regency};

    use super::*;
    use crate::checkpoint::{Checkpoint, CheckpointStore};
    use crate::disk::MemDisk;
    use crate::journal::set_aside;

    const GROUP: GroupId = GroupId([4; 32]);

    /// A journal with a mark after instance 10, and more behind it.
    fn written() -> MemDisk {
        let disk = MemDisk::default();
        let (mut journal, _) =
            Journal::open(Arc::new(disk.clone()), GROUP, JournalOptions::default(), InstanceId(0)).unwrap();
        for record in [Record::Stopped(Regency(1)), Record::Mark(InstanceId(10)), Record::Entered(Regency(1))] {
            journal.append(&record).unwrap();
            journal.commit().unwrap();
        }
        disk
    }

    fn found(instance: u64, is_ours: bool) -> Found {
        let disk = MemDisk::default();
        let (store, _) = CheckpointStore::open(Arc::new(disk.clone()), GROUP).unwrap();
        let (sessions, application) = (Bytes::from_static(b"sessions"), Bytes::from_static(b"application"));
        store.save(&Checkpoint { instance: InstanceId(instance), sessions, application }).unwrap();
        let newest = || CheckpointStore::open(Arc::new(disk.clone()), GROUP).unwrap().1.newest.unwrap();
        if !is_ours {
            store.disown(&newest()).unwrap();
        }
        newest()
    }

    fn use_of(disk: &MemDisk, newest: Option<&Found>) -> Result<usize, Useless> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        open(&disk, GROUP, JournalOptions::default(), newest).unwrap().map(|(_, replay)| replay.count())
    }

    #[test]
    fn a_whole_journal_is_used_with_the_checkpoint_whose_mark_it_holds() {
        let disk = written();
        assert_eq!(use_of(&disk, None), Ok(3));
        assert_eq!(use_of(&disk, Some(&found(10, true))), Ok(3));
        let later = use_of(&disk, Some(&found(20, true))).unwrap_err();
        assert!(matches!(later, Useless::Damaged(why) if why.contains("after instance 20")));
        assert_eq!(use_of(&disk, Some(&found(20, false))), Ok(3), "a state that was taken over has no mark");
    }

    #[test]
    fn a_journal_that_holds_nothing_is_like_none() {
        let disk = MemDisk::default();
        assert_eq!(use_of(&disk, None), Err(Useless::Empty));
        assert_eq!(use_of(&disk, Some(&found(10, true))), Err(Useless::Empty), "begun at the first opening");
    }

    #[test]
    fn a_damaged_journal_is_named_and_once_it_is_set_aside_there_is_none() {
        let disk = written();
        let mut bytes = disk.content("journal-000000.log").unwrap();
        bytes[90] ^= 1;
        disk.plant("journal-000000.log", &bytes);
        let Err(Useless::Damaged(what)) = use_of(&disk, None) else { panic!("it was used") };
        assert!(what.starts_with("journal-000000.log is damaged at byte 60: "), "{what}");
        set_aside(&disk, GROUP).unwrap();
        assert_eq!(use_of(&disk, None), Err(Useless::Empty));
        let held = |name: &str| disk.content(name).is_some();
        assert!(held("damaged-000001-journal-000000.log") && held("journal-000001.log"));
    }
}
