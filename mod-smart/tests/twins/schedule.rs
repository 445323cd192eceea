//! Schedules, and the numbering of all of them.
//!
//! Two schedules *mirror* each other if they differ by the places of the copies only: which of the two is on which side in
//! each round. The copies run the same code from the same start, so what happens in the one happens in the other, but for
//! the names of the copies, and for whom a message reaches ten microseconds earlier.

use std::fmt;

use mod_smart::{ReplicaId, View};

/// A group, how its members work, and who of them is there twice.
#[derive(Clone, Debug)]
pub struct Group {
    pub view: View,
    /// Instances that may be open at once. With more than one a batch is one request, and each side gets as many at a time.
    pub window: u64,
    /// Are batches given to the applications before they are decided?
    pub is_tentative: bool,
    /// The replicas that are there twice. If there is none, replicas crash instead.
    pub twins: Vec<ReplicaId>,
}

/// A group and a number of rounds: all the schedules of them.
#[derive(Clone, Debug)]
pub struct Space {
    pub group: Group,
    pub rounds: u32,
}

/// One schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub group: Group,
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
    /// Who loses power when it begins, and is back at once with what was durable.
    pub restarted: Option<usize>,
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
    /// PROPOSE and WRITE have arrived, if the group has WRITEs, and the ACCEPTs that answer them are on their way: those
    /// between the sides of the next round are lost.
    Torn,
}

/// How a schedule ends: the network heals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The second copies are removed. Mirror images are enumerated: so the removal of the first copies adds nothing.
    OneCopy,
    /// Everybody stays. With copies mirror images are one, and no round is torn: that keeps the test short.
    Whole,
    /// This one has crashed for good.
    Without(usize),
}

impl Group {
    /// Every process of a schedule, by the replica that it is. The copies of a replica are neighbours.
    pub fn processes(&self) -> Vec<ReplicaId> {
        let copies = |id: ReplicaId| std::iter::repeat_n(id, 1 + usize::from(self.twins.contains(&id)));
        self.view.replicas().flat_map(copies).collect()
    }

    fn endings(&self) -> Vec<Ending> {
        if !self.twins.is_empty() {
            return vec![Ending::OneCopy, Ending::Whole];
        }
        std::iter::once(Ending::Whole).chain((0..self.view.n()).map(Ending::Without)).collect()
    }
}

impl Space {
    /// How many partitions there are.
    pub fn partitions(&self) -> u64 {
        1 << (self.group.processes().len() - 1)
    }

    /// In how many ways a round may begin: with everybody as before, or, where nobody is there twice, with one restarted.
    fn beginnings(&self) -> u64 {
        if self.group.twins.is_empty() { 1 + self.group.view.n() as u64 } else { 1 }
    }

    /// Of the rounds at most one is torn: any of them, or none.
    pub fn paces(&self) -> u64 {
        u64::from(self.rounds) + 1
    }

    /// How many numbers of schedules there are.
    pub fn numbers(&self) -> u64 {
        let rounds = (self.partitions() * self.beginnings()).pow(self.rounds);
        rounds * self.paces() * self.group.endings().len() as u64
    }

    /// How many schedules there are. Of one twinned replica: with [`Ending::OneCopy`] those of every pace, with
    /// [`Ending::Whole`] those without a torn round, and of two that mirror each other one. In a half of all partitions
    /// both copies are on one side; these are their own mirror images. Without copies every number is a schedule.
    pub fn schedules(&self) -> u64 {
        if self.group.twins.is_empty() {
            return self.numbers();
        }
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
        let endings = self.group.endings();
        let ending = endings[digit(endings.len() as u64) as usize];
        let torn = digit(self.paces());
        let mut round = |number| Round {
            partition: Partition(digit(self.partitions()) as u32),
            length: if u64::from(number) == torn { Length::Torn } else { Length::Long },
            restarted: (digit(self.beginnings()) as usize).checked_sub(1),
        };
        let rounds = (0..self.rounds).map(&mut round).collect();
        let schedule = Schedule { group: self.group.clone(), rounds, ending };
        let is_torn = torn < u64::from(self.rounds);
        let is_one_of_two = ending == Ending::Whole && !self.group.twins.is_empty();
        (!is_one_of_two || !is_torn && !schedule.is_second_image()).then_some(schedule)
    }
}

impl Schedule {
    /// Is the schedule in which the copies have changed places one that comes before this one?
    fn is_second_image(&self) -> bool {
        let processes = self.group.processes();
        let order = |round: &Round| round.partition.0;
        let image = self.rounds.iter().map(|round| round.partition.mirrored(&processes).0);
        image.lt(self.rounds.iter().map(order))
    }
}

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
        let processes = self.group.processes();
        for Round { partition, length, restarted } in &self.rounds {
            let side = |side| {
                let on_it = (0..processes.len()).filter(|process| partition.side(*process) == side);
                on_it.map(|process| name(&processes, process)).collect::<Vec<_>>().join(" ")
            };
            let torn = if *length == Length::Torn { " torn" } else { "" };
            let restarted = restarted.map(|process| format!("{} restarts ", name(&processes, process)));
            write!(f, "{}{{{} | {}}}{torn}, ", restarted.unwrap_or_default(), side(0), side(1))?;
        }
        match self.ending {
            Ending::OneCopy => write!(f, "then whole without the second copies"),
            Ending::Whole => write!(f, "then whole"),
            Ending::Without(process) => write!(f, "then whole without {}", name(&processes, process)),
        }
    }
}
