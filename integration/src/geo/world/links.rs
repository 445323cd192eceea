//! The links between places: distance, jitter, loss, bandwidth; what was sent first arrives first, as over TCP.

use std::f64::consts::TAU;
use std::time::Duration;

use fastrand::Rng;
use mod_smart::Time;

use super::setup::Weather;
use crate::geo::matrix::{Matrix, Site};

/// A replica or a client, by its number in the world.
pub(super) type Place = usize;

/// All links.
#[derive(Debug)]
pub(super) struct Links {
    places: usize,
    links: Vec<Link>,
    /// Until when each place is busy sending.
    sending: Vec<Time>,
    weather: Weather,
    random: Rng,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    /// In nanoseconds.
    distance: f64,
    deviation: f64,
    last_arrival: Time,
}

impl Links {
    pub fn new(matrix: &Matrix, sites: &[Site], weather: Weather, random: Rng) -> Self {
        let links = sites.iter().flat_map(|from| sites.iter().map(move |to| (*from, *to)));
        let links = links.map(|(from, to)| {
            let is_directed = weather.is_directed && from != to;
            let distance =
                if is_directed { matrix.trip(from, to).mean / 2.0 } else { matrix.one_way(from, to) } * NS_PER_MS;
            let deviation = matrix.one_way_deviation(from, to) * weather.jitter * NS_PER_MS;
            Link { distance, deviation, last_arrival: Time(0) }
        });
        let links = links.collect();
        Self { places: sites.len(), links, sending: vec![Time(0); sites.len()], weather, random }
    }

    /// When something arrives that is ready to leave now.
    pub fn arrival(&mut self, now: Time, from: Place, to: Place, bytes: usize) -> Time {
        let leaves = match self.weather.mbit {
            Some(mbit) if from != to => {
                let takes = Duration::from_secs_f64(bytes as f64 * 8.0 / (mbit * 1e6));
                self.sending[from] = self.sending[from].max(now).after(takes);
                self.sending[from]
            }
            _ => now,
        };
        let link = self.links[from * self.places + to];
        let mut takes = link.distance;
        if link.deviation > 0.0 {
            takes = (takes + link.deviation * self.normal()).max(0.0);
        }
        if self.weather.loss > 0.0 && self.random.f64() < self.weather.loss {
            takes += (2.0 * link.distance + 4.0 * link.deviation).max(RETRANSMITTED_AFTER_NS);
        }
        let arrival = leaves.after(Duration::from_nanos(takes as u64)).max(link.last_arrival);
        self.links[from * self.places + to].last_arrival = arrival;
        arrival
    }

    /// A value of the standard normal distribution (Box and Muller).
    fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.random.f64(), self.random.f64());
        (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
    }
}

const NS_PER_MS: f64 = 1e6;

/// The least that Linux waits before it sends a segment again.
const RETRANSMITTED_AFTER_NS: f64 = 200e6;

#[cfg(test)]
mod tests {
    use super::*;

    fn links(weather: Weather) -> Links {
        Links::new(&Matrix::table_5_7(), &[0, 1, 2], weather, Rng::with_seed(7))
    }

    #[test]
    fn without_jitter_everything_takes_its_distance() {
        let mut links = links(Weather::CALM);
        assert_eq!(links.arrival(Time(5), 0, 1, 1_000_000), Time(104_750_005));
        assert_eq!(links.arrival(Time(5), 1, 1, 1_000_000), Time(5));
    }

    #[test]
    fn jitter_has_the_mean_and_the_deviation_of_the_matrix_and_never_changes_an_order() {
        let mut links = links(Weather { jitter: 1.0, ..Weather::CALM });
        // Far enough apart that none waits for the one before it.
        let sent = (0..4_000_u64).map(|second| Time(second * 1_000_000_000));
        let taken: Vec<f64> = sent.map(|now| (links.arrival(now, 0, 1, 1).0 - now.0) as f64 / NS_PER_MS).collect();
        let mean = taken.iter().sum::<f64>() / taken.len() as f64;
        let variance = taken.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / taken.len() as f64;
        let matrix = Matrix::table_5_7();
        assert!((mean - matrix.one_way(0, 1)).abs() < 0.5, "{mean}");
        assert!((variance.sqrt() - matrix.one_way_deviation(0, 1)).abs() < 0.3, "{variance}");
        let mut last = Time(0);
        for now in (5_000_000_000_000..).step_by(1_000).take(1_000).map(Time) {
            let arrival = links.arrival(now, 1, 2, 1);
            assert!(arrival >= last);
            last = arrival;
        }
    }

    #[test]
    fn what_is_lost_comes_later_and_what_is_large_takes_longer() {
        let mut lossy = links(Weather { loss: 1.0, ..Weather::CALM });
        assert!(lossy.arrival(Time(0), 0, 1, 1) >= Time(304_000_000));
        let mut slow = links(Weather { mbit: Some(8.0), ..Weather::CALM });
        assert_eq!(slow.arrival(Time(0), 0, 1, 1_000_000), Time(1_104_750_000));
        assert_eq!(slow.arrival(Time(0), 0, 2, 1_000_000), Time(2_085_500_000), "one line for everybody");
    }
}
