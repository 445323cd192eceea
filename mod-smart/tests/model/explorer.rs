//! Explores every reachable state of a model, breadth first, and shows the shortest way to a state that breaks it.
//!
//! Two questions can be asked. [`explore`]: can a state be reached that breaks a property? [`always_possible`]: can a
//! state be reached from which correct replicas alone can no longer reach a goal? A search either finishes, and then has
//! seen every reachable state up to symmetry, or it stops at its budget and the test fails: no result is partial.
//!
//! States with equal keys (equal up to the names of replicas and values) are visited once. The state kept is the one that
//! was reached first and not its canonical form, so that the steps of a trace belong together.

#![allow(clippy::disallowed_types)] // The set of visited states is asked for membership and never iterated.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Most states of one search; a model that needs more is too large to be read, and must be split.
const STATES_MAX: usize = 2_000_000;

/// A transition system.
pub trait Model {
    /// Everything that decides what can happen next.
    type State: Copy + Eq + Hash;
    /// One atomic thing that happens; its text is a line of a trace.
    type Step: Copy + fmt::Display;
    /// What tells states apart; equal keys mean that whatever can follow is equal up to names.
    type Key: Eq + Hash;

    /// Where all runs begin.
    fn start(&self) -> Self::State;

    /// Calls `each` with every step that is possible now and the state it leads to.
    fn steps(&self, state: &Self::State, each: &mut dyn FnMut(Self::Step, Self::State));

    /// What is broken in this state, in a sentence.
    fn broken(&self, state: &Self::State) -> Option<String>;

    /// The key of this state: the same for all states that differ by names only, or by what no longer matters.
    fn key(&self, state: &Self::State) -> Self::Key;

    /// Can this step happen without a lie, a crash or bad luck? Only such steps count as a way to a goal.
    fn is_honest(&self, _step: Self::Step) -> bool {
        true
    }
}

/// How much was seen by a search that finished.
#[derive(Clone, Copy, Debug)]
pub struct Coverage {
    /// Distinct states, up to symmetry.
    pub states: usize,
    /// Steps on the longest of all shortest ways to a state.
    pub depth: usize,
}

/// A shortest run that breaks the model.
#[derive(Clone, Debug)]
pub struct CounterExample {
    /// What happens, in order.
    pub steps: Vec<String>,
    /// What is broken at the end.
    pub broken: String,
    /// Distinct states seen before it was found.
    pub states: usize,
}

impl fmt::Display for CounterExample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in (1..).zip(&self.steps) {
            writeln!(f, "  {number:>2}. {step}")?;
        }
        write!(f, "   => {}", self.broken)
    }
}

/// Looks for a reachable state that breaks the model.
pub fn explore<M: Model>(model: &M) -> Result<Coverage, CounterExample> {
    Search::run(model, Edges::Forget).map(|search| search.coverage())
}

/// Looks for a reachable state from which no honest steps lead to a goal. Broken states count as well.
pub fn always_possible<M: Model>(model: &M, goal: impl Fn(&M::State) -> bool) -> Result<Coverage, CounterExample> {
    let mut search = Search::run(model, Edges::Keep)?;
    let mut can_finish: Vec<bool> = search.nodes.iter().map(|node| goal(&node.state)).collect();
    let mut todo: Vec<u32> = (0..can_finish.len() as u32).filter(|&at| can_finish[at as usize]).collect();
    assert!(!todo.is_empty(), "the goal is never reached: the model is empty");
    let mut into = std::mem::take(&mut search.edges);
    into.sort_unstable_by_key(|&(_, to)| to);
    while let Some(at) = todo.pop() {
        let first = into.partition_point(|&(_, to)| to < at);
        for &(from, _) in into[first..].iter().take_while(|&&(_, to)| to == at) {
            if !std::mem::replace(&mut can_finish[from as usize], true) {
                todo.push(from);
            }
        }
    }
    match can_finish.iter().position(|&can| !can) {
        None => Ok(search.coverage()),
        Some(stuck) => Err(search.counter_example(stuck as u32, "from here it can never finish".to_owned())),
    }
}

enum Edges {
    Keep,
    Forget,
}

struct Node<S> {
    state: S,
    parent: u32,
    depth: u16,
}

struct Search<'m, M: Model> {
    model: &'m M,
    nodes: Vec<Node<M::State>>,
    edges: Vec<(u32, u32)>,
}

impl<'m, M: Model> Search<'m, M> {
    fn run(model: &'m M, keep: Edges) -> Result<Self, CounterExample> {
        let start = model.start();
        let mut search = Self { model, nodes: vec![Node { state: start, parent: 0, depth: 0 }], edges: Vec::new() };
        let mut visited: HashMap<M::Key, u32, BuildHasherDefault<Fold>> = HashMap::default();
        visited.insert(model.key(&start), 0);
        let mut next: Vec<(M::Step, M::State)> = Vec::new();
        let mut at = 0;
        while at < search.nodes.len() {
            let Node { state, depth, .. } = search.nodes[at];
            if let Some(broken) = model.broken(&state) {
                return Err(search.counter_example(at as u32, broken));
            }
            next.clear();
            model.steps(&state, &mut |step, state| next.push((step, state)));
            for &(step, state) in &next {
                let fresh = search.nodes.len() as u32;
                let to = *visited.entry(model.key(&state)).or_insert(fresh);
                if to == fresh {
                    search.nodes.push(Node { state, parent: at as u32, depth: depth + 1 });
                }
                if matches!(keep, Edges::Keep) && model.is_honest(step) {
                    search.edges.push((at as u32, to));
                }
            }
            assert!(search.nodes.len() <= STATES_MAX, "more than {STATES_MAX} states: the model must be split");
            at += 1;
        }
        Ok(search)
    }

    fn coverage(&self) -> Coverage {
        let depth = self.nodes.last().map_or(0, |node| usize::from(node.depth));
        Coverage { states: self.nodes.len(), depth }
    }

    fn counter_example(&self, end: u32, broken: String) -> CounterExample {
        let mut steps = Vec::new();
        let mut at = end;
        while at != 0 {
            let node = &self.nodes[at as usize];
            let mut text = None;
            self.model.steps(&self.nodes[node.parent as usize].state, &mut |step, state| {
                if text.is_none() && state == node.state {
                    text = Some(step.to_string());
                }
            });
            steps.extend(text);
            at = node.parent;
        }
        steps.reverse();
        CounterExample { steps, broken, states: self.nodes.len() }
    }
}

/// A fast hash for small keys that nobody chooses in order to collide.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0, |word, &byte| (word << 8) | u64::from(byte));
            self.write_u64(word);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}
