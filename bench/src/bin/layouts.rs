//! What it costs to lay out a release: all of it, and beside an earlier one of which 20 files have changed.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program at a person's terminal"
)]

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use bench::{
    cpu,
    machine::Machine,
    run::{block_on, median, outcome},
};
use events::CommitId;
use git::{Git, Laid, Laying, Mirror};
use world::World;

/// Rounds, in which each way has its turn.
const ROUNDS: usize = 5;

/// How many files a change touches.
const CHANGED: usize = 20;

/// A release: how many files, of how many bytes, and how often it is laid out in a turn, since the time of other processes is
/// counted in steps of 10 ms.
const RELEASES: [(usize, usize, u32); 2] = [(2_000, 25_000, 4), (20, 1_000, 40)];

/// The ways, the floor first, with the most that each may cost of it for the large release.
const WAYS: [(&str, f64); 4] = [
    ("git archive | tar", 1.0),
    ("all of it", 1.1),
    ("copied", 0.5),
    ("hard-linked", 0.2),
];

fn main() -> ExitCode {
    outcome(block_on(measure()))
}

async fn measure() -> Result<(), String> {
    let base = env::args().nth(1);
    let base = base.map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from);
    println!("{}; releases on {}", Machine::this(), base.display());
    let mut over = Vec::new();
    for (files, bytes, times) in RELEASES {
        let folder = tempfile::tempdir_in(&base).map_err(said)?;
        let place = Place::furnish(folder.path(), files, bytes).await?;
        println!("{files} files of {bytes} bytes, of which at most {CHANGED} change:");
        for ((way, most), cost) in WAYS.into_iter().zip(place.by_turns(times).await?) {
            println!("  {way}: {cost}");
            if files > CHANGED && cost.ratio > most {
                over.push(format!("{way} costs {:.2}, more than {most}", cost.ratio));
            }
        }
    }
    match over.is_empty() {
        true => Ok(()),
        false => Err(over.join("; ")),
    }
}

fn said(error: impl fmt::Display) -> String {
    error.to_string()
}

/// What one layout took in a turn: processor time, time by the clock.
type Took = (Duration, Duration);

/// What one layout costs, the median of all rounds.
struct Cost {
    cpu: Duration,
    clock: Duration,
    /// Of the floor's processor time, the median of the rounds' own.
    ratio: f64,
}

impl Cost {
    fn of(took: &[Took], floor: &[Took]) -> Self {
        let pairs = took.iter().zip(floor);
        let ratio = |(own, floor): (&Took, &Took)| own.0.as_secs_f64() / floor.0.as_secs_f64();
        let mut ratios: Vec<f64> = pairs.map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        let middle = |of: fn(&Took) -> Duration| median(took.iter().map(of).collect());
        Self {
            cpu: middle(|took| took.0).unwrap_or_default(),
            clock: middle(|took| took.1).unwrap_or_default(),
            ratio: ratios[ratios.len() / 2],
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, clock, ratio } = self;
        write!(
            f,
            "{cpu:.1?} CPU, {clock:.1?} by the clock, {ratio:.2} of the first's CPU"
        )
    }
}

struct Place {
    folder: PathBuf,
    mirror: Mirror,
    commits: [CommitId; 2],
    /// What is known of the earlier release, copied and hard-linked, as it is kept.
    known: Vec<Vec<u8>>,
}

impl Place {
    async fn furnish(folder: &Path, files: usize, bytes: usize) -> Result<Self, String> {
        let origin = folder.join("origin");
        let mut seed = 1_u64;
        let mut write = |file: usize| {
            // Packs about as source code does.
            let mut text = Vec::new();
            while text.len() < bytes {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let word = seed >> 44;
                text.extend_from_slice(format!("word{word:x} = {}\n", word % 7).as_bytes());
            }
            let above = origin.join(format!("d{}/e{}", file % 40, file % 7));
            fs::create_dir_all(&above).map_err(said)?;
            fs::write(above.join(format!("f{file}.txt")), text).map_err(said)
        };
        (0..files).try_for_each(&mut write)?;
        git(&origin, &["init", "--quiet", "--initial-branch=main"])?;
        let first = commit(&origin)?;
        (0..files)
            .step_by((files / CHANGED).max(1))
            .try_for_each(&mut write)?;
        let second = commit(&origin)?;
        let mirror = Mirror::at(folder.join("mirror.git"), &Git::new(&World::real()));
        let from: git::Origin = origin.display().to_string().parse().map_err(said)?;
        mirror.ensure(&from).await.map_err(said)?;
        let mut place = Self {
            folder: folder.to_owned(),
            mirror,
            commits: [first, second],
            known: Vec::new(),
        };
        for hard_links in [false, true] {
            let into = place.earlier(hard_links);
            let laid = place.lay_out(0, &into, hard_links, None).await?;
            place.known.push(laid);
        }
        Ok(place)
    }

    fn earlier(&self, hard_links: bool) -> PathBuf {
        let name = if hard_links { "linked" } else { "copied" };
        self.folder.join(name)
    }

    async fn by_turns(&self, times: u32) -> Result<Vec<Cost>, String> {
        let mut took: [Vec<Took>; WAYS.len()] = Default::default();
        for _ in 0..ROUNDS {
            for (way, took) in took.iter_mut().enumerate() {
                took.push(self.turn(way, times).await?);
            }
        }
        Ok(took.iter().map(|own| Cost::of(own, &took[0])).collect())
    }

    async fn turn(&self, way: usize, times: u32) -> Result<Took, String> {
        let (mut used, mut took) = (Duration::ZERO, Duration::ZERO);
        let into = self.folder.join("into");
        let before = cpu::of_children()?;
        for _ in 0..times {
            let (own, began) = (cpu::used(), Instant::now());
            match way {
                0 => self.floor(&into)?,
                1 => drop(self.lay_out(1, &into, false, None).await?),
                _ => {
                    let hard_links = way == 3;
                    let known = &self.known[usize::from(hard_links)];
                    let laid: Laid = serde_json::from_slice(known).map_err(said)?;
                    let earlier = Some((self.earlier(hard_links), laid));
                    self.lay_out(1, &into, hard_links, earlier).await?;
                }
            }
            used += cpu::used() - own;
            took += began.elapsed();
            fs::remove_dir_all(&into).map_err(said)?;
        }
        used += cpu::of_children()? - before;
        Ok((used / times, took / times))
    }

    fn floor(&self, into: &Path) -> Result<(), String> {
        fs::create_dir(into).map_err(said)?;
        let paths = [self.mirror.folder(), into];
        let [mirror, into] = paths.map(|path| path.display().to_string());
        let commit = &self.commits[1];
        let line = format!("git --git-dir={mirror} archive {commit} | tar -x -C {into}");
        let ran = Command::new("sh").args(["-c", &line]).status();
        match ran.map(|status| status.success()) {
            Ok(true) => Ok(()),
            _ => Err(format!("{line} failed")),
        }
    }

    /// As the agent does it; gives what it keeps of it.
    async fn lay_out(
        &self,
        commit: usize,
        into: &Path,
        hard_links: bool,
        earlier: Option<(PathBuf, Laid)>,
    ) -> Result<Vec<u8>, String> {
        let beside = earlier.is_some();
        let laying = Laying {
            owner: None,
            hard_links,
            earlier,
        };
        let commit = &self.commits[commit];
        let tree = self.mirror.tree(commit).await.map_err(said)?;
        let files = tree.files();
        let laid = self.mirror.lay_out(commit, tree, into, laying).await;
        let laid = laid.map_err(said)?;
        if beside && files > 100 && laid.taken_over == 0 {
            return Err("nothing was taken over".to_owned());
        }
        serde_json::to_vec(&laid.laid).map_err(said)
    }
}

fn git(folder: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .args(["-c", "user.name=Ann", "-c", "user.email=ann@example.org"])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .map_err(said)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!("git {args:?}: {output:?}")),
    }
}

fn commit(origin: &Path) -> Result<CommitId, String> {
    git(origin, &["add", "--all"])?;
    git(origin, &["commit", "--quiet", "-m", "a change"])?;
    git(origin, &["rev-parse", "HEAD"])?.parse().map_err(said)
}
