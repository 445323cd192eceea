//! Damage to files, as a script that is the input: mutating the script moves the damage about.
//!
//! A step takes eight bytes: what is done, to which file, where (two numbers), how long, and a value. Every script means
//! something.

use crate::target::Seed;

/// Files by name.
pub type Files = Vec<(String, Vec<u8>)>;

/// What a script did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The files afterwards.
    pub files: Files,
    /// Did it only change bytes where they stood? No file is shorter, longer, gone or elsewhere then.
    pub is_in_place: bool,
}

impl Damage {
    /// Runs a script on these files.
    #[must_use]
    pub fn run(script: &[u8], pristine: &Files) -> Self {
        let mut damage = Self { files: pristine.clone(), is_in_place: true };
        for step in script.chunks_exact(STEP_BYTES).take(STEPS_MAX) {
            if damage.files.is_empty() {
                break;
            }
            damage.step(step);
        }
        damage
    }

    /// The first and the last byte of each file that is not what it was; files that are the same are left out. For
    /// scripts that changed bytes in place only.
    #[must_use]
    pub fn changed(&self, pristine: &Files) -> Vec<(usize, (usize, usize))> {
        let pairs = self.files.iter().zip(pristine).enumerate();
        let differing = pairs.map(|(file, ((_, now), (_, then)))| {
            let mut places = now.iter().zip(then).enumerate().filter(|(_, (now, then))| now != then).map(|(at, _)| at);
            let first = places.next();
            (file, first.map(|first| (first, places.next_back().unwrap_or(first))))
        });
        differing.filter_map(|(file, range)| Some((file, range?))).collect()
    }

    fn step(&mut self, step: &[u8]) {
        let number = |at: usize| usize::from(step[at]) << 8 | usize::from(step[at + 1]);
        let file = usize::from(step[1]) % self.files.len();
        let (length, value) = (usize::from(step[6]) + 1, step[7]);
        let content = &mut self.files[file].1;
        let at = number(2) % content.len().max(1);
        let end = (at + length).min(content.len());
        match step[0] % 10 {
            0..=2 => content[at..end.min(at + 1)].iter_mut().for_each(|byte| *byte ^= value | 1),
            3 => content[at..end].fill(value),
            4 => {
                let from = number(4) % content.len().max(1);
                let part = content[from..(from + end - at).min(content.len())].to_vec();
                content[at..at + part.len()].copy_from_slice(&part);
            }
            5 => {
                // A sector that was written to the wrong place.
                let (from, to) = (number(2) % SECTORS * SECTOR_BYTES, number(4) % SECTORS * SECTOR_BYTES);
                if from + SECTOR_BYTES <= content.len() && to + SECTOR_BYTES <= content.len() {
                    content.copy_within(from..from + SECTOR_BYTES, to);
                }
            }
            6 => self.structural(|files| files[file].1.truncate(at)),
            7 => self.structural(|files| files[file].1.extend(std::iter::repeat_n(value, length))),
            8 => self.structural(|files| drop(files.remove(file))),
            _ => {
                let other = usize::from(value) % self.files.len();
                self.structural(|files| {
                    let content = files[file].1.clone();
                    files[file].1 = std::mem::replace(&mut files[other].1, content);
                });
            }
        }
    }

    fn structural(&mut self, change: impl FnOnce(&mut Files)) {
        self.is_in_place = false;
        change(&mut self.files);
    }
}

/// Scripts to begin with: nothing, and one of each step.
pub fn scripts() -> Vec<Seed> {
    let one = |step: u8| [step, 0, 1, 90, 0, 7, 20, 0x40].to_vec();
    let all = (0..10).flat_map(one).collect::<Vec<u8>>();
    let steps = (0..10).map(|step| Seed::case(format!("step-{step}"), one(step)));
    let last = Seed::case("all", all);
    [Seed::new("none", Vec::new())].into_iter().chain(steps).chain([last]).collect()
}

const STEP_BYTES: usize = 8;
const STEPS_MAX: usize = 32;
const SECTOR_BYTES: usize = 512;
const SECTORS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        vec![("a".into(), (0..200).collect()), ("b".into(), vec![9; 40])]
    }

    #[test]
    fn no_script_changes_nothing_and_a_flip_changes_one_byte() {
        assert_eq!(Damage::run(b"", &files()), Damage { files: files(), is_in_place: true });
        let damage = Damage::run(&[0, 1, 0, 5, 0, 0, 0, 0x10], &files());
        assert!(damage.is_in_place);
        assert_eq!(damage.changed(&files()), [(1, (5, 5))]);
    }

    #[test]
    fn any_script_means_something() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2_000 {
            let script: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(80).collect();
            let damage = Damage::run(&script, &files());
            assert!(!damage.is_in_place || damage.files.iter().map(|file| file.1.len()).eq([200, 40]));
        }
    }
}
