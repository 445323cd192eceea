//! Schedules, and the numbering of all of them.
//!
//! Two schedules *mirror* each other if they differ by the places of the copies only: which of the two is on which side in
//! each round. The copies run the same code from the same start, so what happens in the one happens in the other, but for
//! the names of the copies, and for whom a message reaches ten microseconds earlier.

use std::fmt;

use mod_smart::ReplicaId;

/// Replicas of the group: the fewest that tolerate a liar.
pub const REPLICAS: u16 = 4;

/// Who is there twice, and for how many rounds: all the schedules of it.
#[derive(Clone, Debug)]
pub struct Space {
    /// The replicas that are there twice.
    pub twins: Vec<ReplicaId>,
    /// How many rounds.
    pub rounds: u32,
}

/// One schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The replicas that are there twice.
    pub twins: Vec<ReplicaId>,
    /// One after the other.
    pub rounds: Vec<Round>,
    /// How it ends.
    pub ending: Ending,
}

/// For a while the network is parted in this way.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub partition: Partition,
    pub length: Length,
}

/// Each process is on one of two sides, and a side can be empty. The first process is always on the first side, which only
/// names the sides: they are treated alike.
#[derive(Clone, Copy, Debug)]
pub struct Partition(u32);

/// How long a round lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Long enough for a decision, or for a regency change and a decision.
    Long,
    /// PROPOSE and WRITE have arrived, and the ACCEPTs that answer them are on their way: those between the sides of the
    /// next round are lost.
    Torn,
}

/// How a schedule ends: the network heals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The second copies are removed. Mirror images are enumerated: so the removal of the first copies adds nothing.
    OneCopy,
    /// All copies stay. Mirror images are one, and no round is torn: that keeps the test short.
    BothCopies,
}

impl Space {
    /// Every process of a schedule, by the replica that it is. The copies of a replica are neighbours.
    pub fn processes(twins: &[ReplicaId]) -> Vec<ReplicaId> {
        let copies = |id: &ReplicaId| std::iter::repeat_n(*id, 1 + usize::from(twins.contains(id)));
        (0..REPLICAS).map(ReplicaId).flat_map(|id| copies(&id)).collect()
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> u64 {
        1 << (Self::processes(&self.twins).len() - 1)
    }

    /// Of the rounds at most one is torn: any of them, or none.
    pub fn paces(&self) -> u64 {
        u64::from(self.rounds) + 1
    }

    /// How many numbers of schedules there are.
    pub fn numbers(&self) -> u64 {
        self.partitions().pow(self.rounds) * self.paces() * ENDINGS.len() as u64
    }

    /// How many schedules of one twinned replica there are: with [`Ending::OneCopy`] those of every pace, with
    /// [`Ending::BothCopies`] those without a torn round, and of two that mirror each other one. In a half of all partitions
    /// both copies are on one side; these are their own mirror images.
    pub fn schedules(&self) -> u64 {
        let all = self.partitions().pow(self.rounds);
        let own_images = (self.partitions() / 2).pow(self.rounds);
        self.paces() * all + (all + own_images) / 2
    }

    /// The schedule with this number, if it counts.
    pub fn schedule(&self, mut number: u64) -> Option<Schedule> {
        let mut digit = |base: u64| {
            let digit = number % base;
            number /= base;
            digit
        };
        let ending = ENDINGS[digit(ENDINGS.len() as u64) as usize];
        let torn = digit(self.paces());
        let length = |round| if u64::from(round) == torn { Length::Torn } else { Length::Long };
        let rounds = (0..self.rounds)
            .map(|round| Round { partition: Partition(digit(self.partitions()) as u32), length: length(round) })
            .collect();
        let schedule = Schedule { twins: self.twins.clone(), rounds, ending };
        let is_torn = torn < u64::from(self.rounds);
        (ending == Ending::OneCopy || !is_torn && !schedule.is_second_image()).then_some(schedule)
    }
}

impl Schedule {
    /// Is the schedule in which the copies have changed places one that comes before this one?
    fn is_second_image(&self) -> bool {
        let processes = Space::processes(&self.twins);
        let order = |round: &Round| round.partition.0;
        let image = self.rounds.iter().map(|round| round.partition.mirrored(&processes).0);
        image.lt(self.rounds.iter().map(order))
    }
}

const ENDINGS: [Ending; 2] = [Ending::OneCopy, Ending::BothCopies];

impl Partition {
    /// On which side is this process, 0 or 1?
    pub const fn side(self, process: usize) -> u8 {
        (((self.0 << 1) >> process) & 1) as u8
    }

    /// The copies change places; if that brings the first process to the second side, the sides change their names.
    fn mirrored(self, processes: &[ReplicaId]) -> Self {
        let image = |process: usize| {
            let is = |other: usize| processes.get(other) == Some(&processes[process]);
            let twin =
                if is(process + 1) { process + 1 } else { process - usize::from(process > 0 && is(process - 1)) };
            self.side(twin)
        };
        let sides = (1..processes.len()).map(|process| u32::from(image(process) ^ image(0)) << (process - 1));
        Self(sides.sum())
    }
}

/// What a process is called: `2`, and the second copy of it `2'`.
pub fn name(processes: &[ReplicaId], process: usize) -> String {
    let id = processes[process];
    let is_second = process > 0 && processes[process - 1] == id;
    format!("{id}{}", if is_second { "'" } else { "" })
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processes = Space::processes(&self.twins);
        for Round { partition, length } in &self.rounds {
            let side = |side| {
                let on_it = (0..processes.len()).filter(|process| partition.side(*process) == side);
                on_it.map(|process| name(&processes, process)).collect::<Vec<_>>().join(" ")
            };
            let torn = if *length == Length::Torn { " torn" } else { "" };
            write!(f, "{{{} | {}}}{torn}, ", side(0), side(1))?;
        }
        match self.ending {
            Ending::OneCopy => write!(f, "then whole without the second copies"),
            Ending::BothCopies => write!(f, "then whole"),
        }
    }
}
