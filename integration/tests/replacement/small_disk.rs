//! A small file system in memory, in the place of a node's folder. It exists in a namespace of its own, which needs no
//! administrator where the system allows user namespaces, and leaves nothing behind.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use integration::process::Process;
use integration::site::PATIENCE;
use integration::skip::say_skipped;

/// A mounted file system, which lasts as long as this value.
pub struct SmallDisk {
    /// Keeps the namespace.
    holder: Process,
    /// The folder, as programs outside of the namespace reach it.
    inside: PathBuf,
}

impl SmallDisk {
    /// Puts a file system of so many bytes over a folder, with what is in it. None, and a line that says so, if the system
    /// does not let us.
    pub fn over(folder: &Path, bytes: u64) -> Option<Self> {
        let place = folder.with_extension("small");
        std::fs::create_dir_all(&place).unwrap();
        let mount = format!(
            "mount -t tmpfs -o size={bytes} none \"$1\" && cp -a \"$0/.\" \"$1\" && mount --bind \"$1\" \"$0\" && echo {MOUNTED} \
             && exec sleep 3600"
        );
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "/bin/sh", "-c", &mount]).arg(folder).arg(&place);
        let log = folder.with_extension("mount.log");
        let mut holder = match Process::start("a namespace", &mut command, &log) {
            Ok(holder) => holder,
            Err(error) => return skip(&format!("{error:#}")),
        };
        let since = Instant::now();
        while !holder.log().contains(MOUNTED) {
            if holder.ended().unwrap().is_some() {
                return skip(holder.log().trim());
            }
            assert!(since.elapsed() < PATIENCE, "{}", holder.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let relative = folder.strip_prefix("/").expect("an absolute path");
        let inside = PathBuf::from(format!("/proc/{}/root", holder.id())).join(relative);
        Some(Self { holder, inside })
    }

    /// Becomes a program that sees it.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        let holder = self.holder.id();
        let enter = format!("exec nsenter --target {holder} --user --mount --preserve-credentials \"$0\"");
        command.args(["-c", &enter]).arg(program);
        command
    }

    /// Leaves no room on it at all.
    pub fn fill(&self) {
        let mut file = File::create(self.inside.join(BALLAST)).unwrap();
        let full = loop {
            if let Err(error) = file.write_all(&[7; 512]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
    }

    /// Takes away what filled it.
    pub fn make_room(&self) {
        std::fs::remove_file(self.inside.join(BALLAST)).unwrap();
    }
}

fn skip(why: &str) -> Option<SmallDisk> {
    say_skipped(&format!("a full disk: no file system can be mounted in a namespace here: {why}"));
    None
}

const MOUNTED: &str = "mounted";
const BALLAST: &str = "ballast";
