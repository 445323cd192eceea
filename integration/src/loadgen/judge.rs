//! What no load may end with: envelopes lost or ordered twice, and chains that differ.

use super::limits::RECEIVERS_PATIENCE;
use super::receiver::Receiver;
use super::report::Counts;

/// What no load may end with.
pub(super) fn judge(counts: &Counts) -> Vec<String> {
    let findings = [
        (counts.lost, format!("{} acknowledged envelopes were never delivered", counts.lost)),
        (counts.repeated, format!("envelopes were delivered again {} times", counts.repeated)),
        (u64::from(counts.delivered == 0), "no envelope was delivered".to_owned()),
    ];
    findings.into_iter().filter(|(count, _)| *count > 0).map(|(_, what)| what).collect()
}

/// All must have come as far as the first one, along the same chain.
pub(super) async fn judge_receivers(receivers: &mut [Receiver]) -> Vec<String> {
    let mut failures: Vec<String> = receivers.iter().filter_map(|receiver| receiver.standing().broken).collect();
    let [first, others @ ..] = receivers else { return failures };
    let first = first.standing();
    for (index, other) in others.iter_mut().enumerate() {
        let reached = tokio::time::timeout(RECEIVERS_PATIENCE, other.reach(first.next)).await;
        let standing = reached.unwrap_or_else(|_| other.standing());
        let name = format!("receiver {}", index + 2);
        if standing.next < first.next {
            failures.push(format!("{name} has come to height {}, the first one to {}", standing.next, first.next));
        } else if standing.next == first.next && standing.tip != first.tip {
            failures.push(format!("{name} has seen another chain than the first one"));
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_must_not_be_is_a_failure() {
        let fine = Counts { delivered: 5, refused: 2, unanswered: 1, left_out: 9, foreign: 3, ..Counts::default() };
        assert_eq!(judge(&fine), Vec::<String>::new());
        assert_eq!(judge(&Counts { lost: 2, ..fine }), ["2 acknowledged envelopes were never delivered"]);
        assert_eq!(judge(&Counts { repeated: 1, ..fine }), ["envelopes were delivered again 1 times"]);
        assert_eq!(judge(&Counts::default()), ["no envelope was delivered"]);
    }
}
