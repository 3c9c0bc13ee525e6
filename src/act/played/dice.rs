//! What is drawn from a seed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Draws from a seed.
#[derive(Clone, Debug)]
pub(in crate::act) struct Dice {
    seed: u64,
    drawn: u64,
}

impl Dice {
    pub(in crate::act) fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    /// A number below `most`.
    pub(in crate::act) fn below(&mut self, most: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.drawn).hash(&mut hasher);
        self.drawn += 1;
        hasher.finish() % most.max(1)
    }

    /// So many times of a hundred.
    pub(in crate::act) fn percent(&mut self, of_hundred: u64) -> bool {
        self.below(100) < of_hundred
    }

    pub(in crate::act) fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        let index = usize::try_from(self.below(of.len() as u64)).unwrap_or(0);
        of[index]
    }
}
