//! What processes have used, by the system's own account: `/proc` (proc(5)).

use std::fs;
use std::ops::Sub;
use std::time::Duration;

use anyhow::Context as _;

/// Processor time of a process, all its threads together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CpuTime {
    pub(super) user: Duration,
    pub(super) system: Duration,
}

/// Memory of a process, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// In use now.
    pub(super) resident_bytes: u64,
    /// In use at most, ever.
    pub(super) resident_bytes_max: u64,
}

/// What a process had used at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) cpu: CpuTime,
    pub(super) memory: Memory,
}

impl Usage {
    /// Of the process with this number.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn of(pid: u32) -> anyhow::Result<Self> {
        let cpu = parse_stat(&read(&format!("/proc/{pid}/stat"))?).context("/proc/PID/stat")?;
        let memory = parse_status(&read(&format!("/proc/{pid}/status"))?).context("/proc/PID/status")?;
        Ok(Self { cpu, memory })
    }
}

impl CpuTime {
    /// User and system.
    pub(super) fn total(&self) -> Duration {
        self.user + self.system
    }
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }
}

/// Processor time that all processes of the machine together have used.
///
/// # Errors
/// The system does not tell.
pub(super) fn machine_busy() -> anyhow::Result<Duration> {
    parse_machine(&read("/proc/stat")?).context("/proc/stat")
}

/// How many processes wanted a processor, averaged over the last minute.
///
/// # Errors
/// The system does not tell.
pub(super) fn load_average() -> anyhow::Result<f64> {
    parse_load_average(&read("/proc/loadavg")?).context("/proc/loadavg")
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

/// The name of the program is in parentheses and may itself hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<CpuTime> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(STAT_USER_TIME - STAT_STATE);
    let mut next = || Some(ticks(fields.next()?.parse().ok()?));
    Some(CpuTime { user: next()?, system: next()? })
}

fn parse_status(text: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
        kibibytes.checked_mul(1024)
    };
    Some(Memory { resident_bytes: bytes("VmRSS:")?, resident_bytes_max: bytes("VmHWM:")? })
}

/// User, nice, system, then idle and waiting for disks, then interrupts and time that the host took away.
fn parse_machine(text: &str) -> Option<Duration> {
    let fields = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks_of: Vec<u64> = fields.split_ascii_whitespace().map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen, ..] = ticks_of[..] else {
        return None;
    };
    Some(ticks(user + nice + system + interrupts + soft_interrupts + stolen))
}

fn parse_load_average(text: &str) -> Option<f64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * TICK_MS)
}

/// Linux tells processor time to programs in hundredths of a second on all but two machines that nobody builds any more.
const TICK_MS: u64 = 10;
/// Numbers of fields as proc(5) counts them; the first one behind the program's name is the state.
const STAT_STATE: usize = 3;
const STAT_USER_TIME: usize = 14;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn processor_time_is_found_behind_whatever_name() {
        for name in ["orderer-node", "a) b", "a (b) 1 2 3", "", ")"] {
            let text =
                format!("4711 ({name}) S 1 2 3 0 -1 4194304 99 98 97 96 1234 567 55 44 20 0 1 0 570489 3133440 407\n");
            let found = parse_stat(&text).unwrap();
            assert_eq!(
                found,
                CpuTime { user: Duration::from_millis(12_340), system: Duration::from_millis(5_670) },
                "{name}"
            );
            assert_eq!(found.total(), Duration::from_millis(18_010));
        }
    }

    #[test]
    fn a_line_that_is_cut_off_is_none() {
        for text in [
            "",
            "12 (x",
            "12 (x)",
            "12 (x) S 1 2 3",
            "12 (x) S 1 2 3 4 5 6 7 8 9 10 11",
            "12 (x) S 1 2 3 4 5 6 7 8 9 10 a b",
        ] {
            assert_eq!(parse_stat(text), None, "{text}");
        }
    }

    #[test]
    fn memory_is_told_in_kibibytes() {
        let text = "Name:\tx\nVmPeak:\t  999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t3\n";
        assert_eq!(parse_status(text), Some(Memory { resident_bytes: 1 << 20, resident_bytes_max: 2 << 20 }));
        assert_eq!(parse_status("VmHWM: 1 kB\n"), None);
        assert_eq!(parse_status("VmHWM: 1 kB\nVmRSS: many kB\n"), None);
    }

    #[test]
    fn idle_time_is_not_busy() {
        let text = "cpu  100 10 50 99999 88888 5 4 1 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(parse_machine(text), Some(Duration::from_millis(1700)));
        assert_eq!(parse_machine("cpu0 1 2 3\n"), None);
        assert_eq!(parse_machine("cpu  1 2 3\n"), None);
        assert_eq!(parse_load_average("0.42 1.00 2.00 1/100 4711\n"), Some(0.42));
        assert_eq!(parse_load_average(""), None);
    }

    #[test]
    fn this_process_uses_what_it_uses() {
        let before = Usage::of(std::process::id()).unwrap();
        let machine_before = machine_busy().unwrap();
        let since = Instant::now();
        let mut sum = 0_u64;
        while since.elapsed() < Duration::from_millis(300) || sum == 0 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        let after = Usage::of(std::process::id()).unwrap();
        let used = (after.cpu - before.cpu).total();
        assert!(used > Duration::from_millis(20), "{used:?} of 300 ms, however busy the machine");
        assert!(machine_busy().unwrap() - machine_before + Duration::from_millis(50) >= used);
        assert!(
            after.memory.resident_bytes > 1 << 20 && after.memory.resident_bytes_max >= after.memory.resident_bytes
        );
        assert!(load_average().unwrap() >= 0.0);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        let error = Usage::of(u32::MAX).unwrap_err().to_string();
        assert!(error.contains("/proc/4294967295/stat"), "{error}");
    }
}
