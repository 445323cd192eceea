//! Model 8: a channel moves from group to group, S1 -> S2 -> S1, and the returning set is a new group.
//!
//! *State.* What each group decided, in order: requests of the channel, or its move to the next group; and for two correct
//! replicas, members of all three groups, how far each came, by which proofs, and which log of the channel it executed.
//! The instances of every group count from 1. Consensus inside a group is taken as given (models 1 and 2): a proof exists
//! for what a group decided and for nothing else, and the liar hands any proof to anyone. *Properties.* Whoever executes
//! an instance of a group executes what that group decided; logs agree; no request is executed twice.

use std::fmt;

use crate::explorer::{Model, explore};
use crate::rules::Rules;
use crate::verdict::{breaks, holds};

const GROUPS: usize = 3;
const INSTANCES: usize = 2;
const REQUESTS: u8 = 3;
/// Most entries of a log: a false tip, and every request twice.
const LOG_MAX: usize = 7;
/// What stands for a block that was never ordered.
const FALSE_TIP: u8 = 9;

struct Succession {
    rules: Rules,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Command {
    #[default]
    None,
    Request(u8),
    Move,
}

/// How a group came to hold the channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Opening {
    #[default]
    Closed,
    Certified,
    False,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Replica {
    group: usize,
    /// What it executed, by group and instance.
    executed: [[Command; INSTANCES]; GROUPS],
    instances: usize,
    has_moved: bool,
    log: [u8; LOG_MAX],
    /// Bits of the requests that it knows to be ordered.
    known: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct State {
    decided: [[Command; INSTANCES]; GROUPS],
    opened: [Opening; GROUPS],
    replicas: [Replica; 2],
}

#[derive(Clone, Copy)]
enum Step {
    Decide { group: usize, instance: usize, command: Command },
    Open { group: usize, opening: Opening },
    Execute { replica: usize, group: usize, of: usize, instance: usize, command: Command },
    Join { replica: usize, group: usize },
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "nothing"),
            Self::Request(request) => write!(f, "request {}", char::from(b'a' + request - 1)),
            Self::Move => write!(f, "the move to the next group"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |group: &usize| ["S1", "S2", "S1 again"][*group];
        match self {
            Self::Decide { group, instance, command } => {
                write!(f, "{} decides {command} as instance {instance}", name(group))
            }
            Self::Open { group, opening: Opening::False } => {
                write!(f, "{} opens with the tip that a liar asked for", name(group))
            }
            Self::Open { group, .. } => write!(f, "{} opens with the certified tip", name(group)),
            Self::Execute { replica, group, of, instance, command } => write!(
                f,
                "replica {replica} takes {command} for instance {instance} of {}, by a proof of {}",
                name(group),
                name(of)
            ),
            Self::Join { replica, group } => write!(f, "replica {replica} goes on in {}", name(group)),
        }
    }
}

impl Succession {
    /// What stands in every signature.
    fn id(&self, group: usize) -> usize {
        if self.rules.incarnation_is_in_id { group } else { group % 2 }
    }

    fn execute(&self, me: &mut Replica, command: Command) {
        me.executed[me.group][me.instances] = command;
        me.instances += 1;
        match command {
            Command::Request(_) if me.has_moved && self.rules.moved_is_closed => {}
            Command::Request(request) if me.known & 1 << request == 0 => {
                me.known |= 1 << request;
                if let Some(end) = me.log.iter_mut().find(|entry| **entry == 0) {
                    *end = request;
                }
            }
            Command::Move => me.has_moved = true,
            Command::Request(_) | Command::None => {}
        }
    }

    fn join(&self, me: &mut Replica, opening: Opening) {
        me.group += 1;
        me.instances = 0;
        me.has_moved = false;
        if opening == Opening::False {
            me.log = [FALSE_TIP, 0, 0, 0, 0, 0, 0];
        }
        if !self.rules.windows_are_carried {
            me.known = 0;
        }
    }
}

impl Model for Succession {
    type State = State;
    type Step = Step;
    type Key = State;

    fn start(&self) -> State {
        State { opened: [Opening::Certified, Opening::Closed, Opening::Closed], ..State::default() }
    }

    fn steps(&self, state: &State, each: &mut dyn FnMut(Step, State)) {
        for group in 0..GROUPS {
            if state.opened[group] == Opening::Closed {
                // A correct member asks when it has executed the move, with the tip it has then.
                let is_left = state.replicas.iter().any(|me| me.group == group - 1 && me.has_moved);
                let openings = [(Opening::Certified, is_left), (Opening::False, !self.rules.opening_needs_a_quorum)];
                for (opening, _) in openings.into_iter().filter(|&(_, is_possible)| is_possible) {
                    let mut next = *state;
                    next.opened[group] = opening;
                    each(Step::Open { group, opening }, next);
                }
                continue;
            }
            let decided = state.decided[group];
            let Some(at) = decided.iter().position(|command| *command == Command::None) else { continue };
            let may_move = group + 1 < GROUPS && !decided.contains(&Command::Move);
            for command in (1..=REQUESTS).map(Command::Request).chain(may_move.then_some(Command::Move)) {
                let mut next = *state;
                next.decided[group][at] = command;
                each(Step::Decide { group, instance: at + 1, command }, next);
            }
        }
        for replica in 0..2 {
            let me = state.replicas[replica];
            let proven = (0..GROUPS).filter(|&of| self.id(of) == self.id(me.group) && me.instances < INSTANCES);
            for of in proven.filter(|&of| state.decided[of][me.instances] != Command::None) {
                let mut next = *state;
                let command = state.decided[of][me.instances];
                self.execute(&mut next.replicas[replica], command);
                each(Step::Execute { replica, group: me.group, of, instance: me.instances + 1, command }, next);
            }
            if me.has_moved && me.group + 1 < GROUPS && state.opened[me.group + 1] != Opening::Closed {
                let mut next = *state;
                self.join(&mut next.replicas[replica], state.opened[me.group + 1]);
                each(Step::Join { replica, group: me.group + 1 }, next);
            }
        }
    }

    fn broken(&self, state: &State) -> Option<String> {
        let differs = |executed: Command, decided: Command| executed != Command::None && executed != decided;
        for me in &state.replicas {
            let pairs = me.executed.iter().flatten().zip(state.decided.iter().flatten());
            if pairs.into_iter().any(|(&executed, &decided)| differs(executed, decided)) {
                return Some("AGREEMENT: a replica executed what its group did not decide".to_owned());
            }
            let twice = (1..=REQUESTS).any(|request| me.log.iter().filter(|&&entry| entry == request).count() > 1);
            if twice {
                return Some("NO DUPLICATE: a request is executed twice".to_owned());
            }
        }
        let [one, two] = &state.replicas;
        let fork = one.log.iter().zip(&two.log).any(|(&a, &b)| a != b && a != 0 && b != 0);
        let is_false = one.log[0] == FALSE_TIP || two.log[0] == FALSE_TIP;
        (fork || is_false).then(|| "TOTAL ORDER: the logs of two correct replicas have forked".to_owned())
    }

    fn key(&self, state: &State) -> State {
        let mut key = *state;
        key.replicas.sort_unstable();
        key
    }
}

#[test]
fn a_channel_that_returns_to_its_first_set_keeps_one_log() {
    holds("succession", explore(&Succession { rules: Rules::ALL }), 50_000);
}

#[test]
fn a_returning_group_id_makes_old_proofs_valid_again() {
    let rules = Rules { incarnation_is_in_id: false, ..Rules::ALL };
    breaks("a group's id covers its incarnation", explore(&Succession { rules }), 9);
}

#[test]
fn a_moved_channel_that_its_old_group_still_executes_forks() {
    let rules = Rules { moved_is_closed: false, ..Rules::ALL };
    breaks("a moved channel is closed in the old group", explore(&Succession { rules }), 9);
}

#[test]
fn a_group_that_one_member_can_open_starts_from_a_false_tip() {
    let rules = Rules { opening_needs_a_quorum: false, ..Rules::ALL };
    breaks("a group opens on a quorum of asks", explore(&Succession { rules }), 4);
}

#[test]
fn a_group_that_forgets_what_was_ordered_executes_it_again() {
    let rules = Rules { windows_are_carried: false, ..Rules::ALL };
    breaks("the opening carries what was ordered", explore(&Succession { rules }), 8);
}
