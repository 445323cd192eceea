//! Links between places: each way of each has its own delay and its own troubles.

use std::time::Duration;

use fastrand::Rng;
use mod_smart::Time;

use super::queue::Place;

/// How quick the network is.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    /// At least this.
    pub min: Duration,
    /// And up to so much more.
    pub spread: Duration,
    /// Of a thousand messages, so many take ten times as long.
    pub stragglers: u32,
}

/// One direction of a link.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    is_cut: bool,
    clogged_until: Time,
    last_arrival: Time,
    /// Far apart: more delay on this link for the whole run.
    distance: Duration,
}

/// All links.
#[derive(Debug)]
pub(super) struct Network {
    places: usize,
    links: Vec<Link>,
    delays: Delays,
    random: Rng,
    /// Per mille of messages.
    pub loss: u32,
    /// Per mille of messages.
    pub repeats: u32,
    /// Do messages overtake each other?
    pub is_reordering: bool,
    /// Everything takes so many times as long.
    pub slowness: u32,
    pub lost: u64,
    pub repeated: u64,
}

impl Network {
    pub fn new(places: usize, delays: Delays, distances: Duration, mut random: Rng) -> Self {
        let far = |random: &mut Rng| distances.mul_f64(random.f64());
        let links = (0..places * places).map(|_| Link { distance: far(&mut random), ..Link::default() }).collect();
        Self {
            places,
            links,
            delays,
            random,
            loss: 0,
            repeats: 0,
            is_reordering: false,
            slowness: 1,
            lost: 0,
            repeated: 0,
        }
    }

    /// When the copies of a message arrive that is sent now: none, one or two.
    pub fn arrivals(&mut self, now: Time, from: Place, to: Place) -> [Option<Time>; 2] {
        if self.link(from, to).is_cut || self.random.u32(..1000) < self.loss {
            self.lost += 1;
            return [None, None];
        }
        let first = self.arrival(now, from, to);
        let second = (self.random.u32(..1000) < self.repeats).then(|| self.arrival(now, from, to));
        self.repeated += u64::from(second.is_some());
        [Some(first), second]
    }

    fn arrival(&mut self, now: Time, from: Place, to: Place) -> Time {
        let Delays { min, spread, stragglers } = self.delays;
        let mut delay = min + Duration::from_nanos(self.random.u64(..=spread.as_nanos() as u64));
        if self.random.u32(..1000) < stragglers {
            delay *= 10;
        }
        let (slowness, is_reordering) = (self.slowness, self.is_reordering);
        let link = self.link(from, to);
        let arrival = now.after((delay + link.distance) * slowness).max(link.clogged_until);
        let arrival = if is_reordering { arrival } else { arrival.max(link.last_arrival) };
        link.last_arrival = link.last_arrival.max(arrival);
        arrival
    }

    pub fn cut(&mut self, from: Place, to: Place) {
        self.link(from, to).is_cut = true;
    }

    /// Ends every cut. Gives the pairs between which one was, each once.
    pub fn join(&mut self) -> Vec<(Place, Place)> {
        let mut joined = Vec::new();
        for a in 0..self.places {
            for b in a + 1..self.places {
                let was_cut = [(a, b), (b, a)].map(|(from, to)| std::mem::take(&mut self.link(from, to).is_cut));
                if was_cut.contains(&true) {
                    joined.push((a, b));
                }
            }
        }
        joined
    }

    /// Nothing arrives before this time; what is sent until then arrives together.
    pub fn clog(&mut self, from: Place, to: Place, until: Time) {
        let link = self.link(from, to);
        link.clogged_until = link.clogged_until.max(until);
    }

    /// Ends all troubles but those of messages that are under way.
    pub fn calm(&mut self) {
        (self.loss, self.repeats, self.is_reordering, self.slowness) = (0, 0, false, 1);
        self.links.iter_mut().for_each(|link| link.clogged_until = Time(0));
    }

    fn link(&mut self, from: Place, to: Place) -> &mut Link {
        &mut self.links[from * self.places + to]
    }
}
