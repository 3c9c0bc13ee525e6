//! The alignment of a parallelism to the key groups or partitions of its vertex, so that its subtasks have equal shares.

use super::options::{AdjustMode, Options, Release};

/// How a parallelism is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlignmentMode {
    /// To the next that divides the number, or leaves each subtask less. The default of 1.16.
    Balanced,
    /// To the next that divides the number.
    EvenlySpread,
    /// Not at all.
    Off,
    /// As 1.15 does: it may refuse to scale.
    Legacy(AdjustMode),
}

impl AlignmentMode {
    /// The mode that the options select. A plugin, which cannot run here, counts as `Balanced`: so does one that the operator
    /// does not find. 1.15 knows the old way only, and spreads evenly where nothing is given.
    pub fn of(options: &Options) -> Self {
        match (options.release, &options.alignment_mode, options.adjust_mode) {
            (Release::V1_15, _, mode) => Self::Legacy(mode.unwrap_or(AdjustMode::EvenlySpread)),
            (Release::V1_16, Some(name), _) => built_in(name).unwrap_or(Self::Balanced),
            (Release::V1_16, None, Some(mode)) => Self::Legacy(mode),
            (Release::V1_16, None, None) => Self::Balanced,
        }
    }
}

/// Whether the name of a mode is that of a plugin.
pub fn is_plugin(mode: &str) -> bool {
    built_in(mode).is_none()
}

fn built_in(name: &str) -> Option<AlignmentMode> {
    match name {
        "BALANCED" => Some(AlignmentMode::Balanced),
        "EVENLY_SPREAD" => Some(AlignmentMode::EvenlySpread),
        "OFF" => Some(AlignmentMode::Off),
        _ => None,
    }
}

/// A vertex and the parallelism that it is to be aligned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alignment {
    /// Its subtasks now.
    pub current: u32,
    /// Those that are wanted, within all limits.
    pub target: u32,
    /// Its partitions, where they are known.
    pub partitions: Option<u32>,
    /// Its key groups.
    pub max_parallelism: u32,
    /// The fewest subtasks it may have.
    pub lower: u32,
    /// The most subtasks it may have.
    pub upper: u32,
    /// Whether records reach it by key.
    pub keyed: bool,
}

/// What came of an alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aligned {
    /// The parallelism.
    pub parallelism: u32,
    /// Whether the old way could not do what was wanted, and says so (`ScalingLimited`).
    pub limited: bool,
}

impl Alignment {
    /// Partitions where there are any, else key groups; at least one.
    fn shares(&self) -> u32 {
        self.partitions.filter(|partitions| *partitions > 0).unwrap_or(self.max_parallelism).max(1)
    }

    /// Aligns. Only a vertex with partitions or with records by key is touched.
    pub fn align(&self, mode: AlignmentMode) -> Aligned {
        let kept = Aligned { parallelism: self.target, limited: false };
        let applies = self.keyed || self.partitions.is_some_and(|partitions| partitions > 0);
        if !applies || self.target == self.current || self.target == 0 {
            return kept;
        }
        let (load_reducing, blocks) = match mode {
            AlignmentMode::Off => return kept,
            AlignmentMode::Balanced => (true, false),
            AlignmentMode::EvenlySpread => (false, false),
            AlignmentMode::Legacy(AdjustMode::MaximizeUtilisation) => (true, true),
            AlignmentMode::Legacy(AdjustMode::EvenlySpread) => (false, true),
        };
        match self.upward(load_reducing) {
            Some(parallelism) => Aligned { parallelism, limited: false },
            None if blocks => self.downward_or_blocked(),
            None => kept,
        }
    }

    fn is_up(&self) -> bool {
        self.target > self.current
    }

    /// The first from the target up that is aligned; scaling down stops at the current size.
    fn upward(&self, load_reducing: bool) -> Option<u32> {
        let shares = self.shares();
        let cap = shares.min(self.max_parallelism).min(self.upper);
        let end = if self.is_up() { cap } else { cap.min(self.current) };
        let divisor = smallest_divisor_from(shares, self.target);
        // The first with fewer whole shares per subtask than the target has.
        let per_subtask = shares / self.target;
        let lighter = (load_reducing && per_subtask > 0).then(|| shares / per_subtask + 1);
        divisor.into_iter().chain(lighter).min().filter(|parallelism| *parallelism <= end)
    }

    /// The old way when there is none: the fewest that do what the target does, unless that turns the direction around.
    fn downward_or_blocked(&self) -> Aligned {
        let shares = self.shares();
        // The most whose subtasks have more whole shares than the target's.
        let heavier = shares / (shares / self.target + 1);
        let beside = if heavier > 0 && !shares.is_multiple_of(heavier) { heavier + 1 } else { heavier };
        let parallelism = beside.max(self.lower);
        let turned = if self.is_up() { parallelism <= self.current } else { parallelism >= self.current };
        let parallelism = if turned { self.current } else { parallelism };
        Aligned { parallelism, limited: parallelism != self.target }
    }
}

/// The smallest divisor of `number` that is not less than `from`.
fn smallest_divisor_from(number: u32, from: u32) -> Option<u32> {
    (1..=number.isqrt())
        .filter(|small| number.is_multiple_of(*small))
        .flat_map(|small| [small, number / small])
        .filter(|divisor| *divisor >= from)
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The search as the operator does it, one by one.
    fn one_by_one(alignment: &Alignment, load_reducing: bool) -> Option<u32> {
        let shares = alignment.shares();
        let cap = shares.min(alignment.max_parallelism).min(alignment.upper);
        let end = if alignment.is_up() { cap } else { cap.min(alignment.current) };
        (alignment.target..=end)
            .find(|q| shares.is_multiple_of(*q) || (load_reducing && shares / q < shares / alignment.target))
    }

    fn downward_one_by_one(alignment: &Alignment) -> u32 {
        let shares = alignment.shares();
        let heavier =
            (1..=alignment.target).rev().find(|q| shares / q > shares / alignment.target).unwrap_or(0);
        let beside = if heavier > 0 && !shares.is_multiple_of(heavier) { heavier + 1 } else { heavier };
        beside.max(alignment.lower)
    }

    #[test]
    fn finds_what_a_search_one_by_one_finds() {
        for shares in [1, 2, 7, 15, 35, 60, 97, 128] {
            for target in 1..=130 {
                for current in [1, 5, 20, 64, 128] {
                    let alignment = Alignment {
                        current,
                        target,
                        partitions: Some(shares),
                        max_parallelism: 128,
                        lower: 1,
                        upper: 100,
                        keyed: false,
                    };
                    for reducing in [false, true] {
                        assert_eq!(
                            alignment.upward(reducing),
                            one_by_one(&alignment, reducing),
                            "{alignment:?}"
                        );
                    }
                    let down = alignment.downward_or_blocked();
                    let expected = downward_one_by_one(&alignment);
                    assert!(down.parallelism == expected || down.parallelism == current, "{alignment:?}");
                }
            }
        }
    }

    #[test]
    fn the_release_before_knows_the_old_way_only() {
        let new = Options { alignment_mode: Some("OFF".to_owned()), ..Options::default() };
        let old = Options { release: Release::V1_15, ..new.clone() };
        assert_eq!(AlignmentMode::of(&new), AlignmentMode::Off);
        assert_eq!(AlignmentMode::of(&old), AlignmentMode::Legacy(AdjustMode::EvenlySpread));
    }

    #[test]
    fn leaves_alone_what_has_no_shares() {
        let plain = Alignment {
            current: 16,
            target: 24,
            partitions: None,
            max_parallelism: 0,
            lower: 1,
            upper: 9,
            keyed: false,
        };
        for (alignment, parallelism) in [
            (plain, 24),
            (Alignment { partitions: Some(0), ..plain }, 24),
            (Alignment { keyed: true, target: 0, ..plain }, 0),
            (Alignment { keyed: true, ..plain }, 24),
        ] {
            let aligned = alignment.align(AlignmentMode::Balanced);
            assert_eq!(aligned, Aligned { parallelism, limited: false }, "{alignment:?}");
        }
    }
}
