//! Who leads, by a Lease: what to do next about it, from what was last seen of it.
//!
//! As in client-go, clocks of two machines are never compared: another's lease has run out when it has not changed for its
//! length by our own monotonic clock. Pure but for `self`; the moments are handed in.

use std::time::Duration;

use tokio::time::Instant;

/// The lengths of a Lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// How long a lease lasts that is not renewed.
    pub(super) lasts: Duration,
    /// The leader acts no longer than this after the last renewal that it knows to have worked, counted from when it was
    /// sent. Shorter than the lease, so that what was sent in the last moment has ended before another may begin.
    pub(super) acts_for: Duration,
    /// From one renewal, or look, to the next.
    pub(super) retry: Duration,
}

/// client-go's lengths (15 s, 10 s, 2 s), shortened by a fifth: a follower sees the last renewal up to `retry` late, and has
/// to have taken over 15 s after the leader was killed.
pub(super) const TERMS: Terms =
    Terms { lasts: Duration::from_secs(12), acts_for: Duration::from_secs(8), retry: Duration::from_secs(2) };

/// What a Lease says, as far as it matters to who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Who holds it; empty when it was given back.
    pub(super) holder: String,
    /// How long it lasts.
    pub(super) lasts: Duration,
    /// Something that is another with each renewal.
    pub(super) version: String,
}

/// What is to be done about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// It is not there: make it, with us as its holder.
    Create,
    /// Nobody's, or run out: become its holder.
    Take,
    /// Ours: renew it.
    Renew,
    /// Another's: look again at this moment.
    Wait(Instant),
}

/// Whether this process leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has not been seen yet who does.
    Unknown,
    /// It does.
    Leading,
    /// It did, and cannot renew its lease; nobody else has been seen to lead since.
    Unsure,
    /// Another does.
    Following {
        /// Who.
        leader: String,
    },
}

impl Standing {
    /// Whether jobs are looked after: acting is another matter, which the gate decides.
    pub(super) fn keeps_jobs(&self) -> bool {
        matches!(self, Self::Leading | Self::Unsure)
    }
}

/// What is known of the Lease.
#[derive(Debug)]
pub(super) struct Election {
    me: String,
    terms: Terms,
    /// What it said, and when it was first seen to say so; `None` when it was not there.
    seen: Option<(Record, Instant)>,
    /// Whether anything has been seen.
    looked: bool,
    /// When the last write was sent that made or kept us its holder.
    held: Option<Instant>,
}

impl Election {
    /// For a candidate of this name, which no other has.
    pub(super) fn new(me: String, terms: Terms) -> Self {
        Self { me, terms, seen: None, looked: false, held: None }
    }

    /// Takes in what the server said at `now`.
    pub(super) fn found(&mut self, record: Option<Record>, now: Instant) {
        self.looked = true;
        if record.as_ref().is_none_or(|record| record.holder != self.me) {
            self.held = None;
        }
        let unchanged = matches!((&self.seen, &record), (Some((seen, _)), Some(found)) if seen == found);
        if !unchanged {
            self.seen = record.map(|record| (record, now));
        }
    }

    /// Takes in that our write, sent at `sent`, made us the holder or kept us so.
    pub(super) fn wrote(&mut self, record: Record, sent: Instant) {
        self.looked = true;
        self.held = Some(sent);
        self.seen = Some((record, sent));
    }

    /// What is to be done at `now`.
    pub(super) fn next(&self, now: Instant) -> Move {
        let Some((record, since)) = &self.seen else { return Move::Create };
        if record.holder == self.me {
            return Move::Renew;
        }
        let ends = *since + record.lasts;
        if record.holder.is_empty() || now >= ends {
            Move::Take
        } else {
            Move::Wait(ends.min(now + self.terms.retry))
        }
    }

    /// Until when this process may act; `None` when it may not.
    pub(super) fn acts_until(&self) -> Option<Instant> {
        self.held.map(|sent| sent + self.terms.acts_for)
    }

    /// Whether this process leads at `now`.
    pub(super) fn standing(&self, now: Instant) -> Standing {
        match (&self.seen, self.acts_until()) {
            _ if !self.looked => Standing::Unknown,
            (_, Some(until)) if now < until => Standing::Leading,
            (_, Some(_)) => Standing::Unsure,
            (Some((record, _)), None) if record.holder != self.me && !record.holder.is_empty() => {
                Standing::Following { leader: record.holder.clone() }
            }
            (Some(_) | None, None) => Standing::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: u64 = 12;

    fn record(holder: &str, version: u64) -> Record {
        Record { holder: holder.to_owned(), lasts: Duration::from_secs(LASTS), version: version.to_string() }
    }

    fn following(leader: &str) -> Standing {
        Standing::Following { leader: leader.to_owned() }
    }

    /// The diary of one candidate, `me`: seconds since the start.
    struct Diary {
        start: Instant,
        election: Election,
    }

    impl Diary {
        fn new() -> Self {
            Self { start: Instant::now(), election: Election::new("me".to_owned(), TERMS) }
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        fn finds(&mut self, second: u64, found: Option<Record>) -> &mut Self {
            let at = self.at(second);
            self.election.found(found, at);
            self
        }

        fn writes(&mut self, second: u64, version: u64) -> &mut Self {
            let at = self.at(second);
            self.election.wrote(record("me", version), at);
            self
        }

        #[track_caller]
        fn then(&mut self, second: u64, next: Move, standing: &Standing) -> &mut Self {
            let at = self.at(second);
            let got = (self.election.next(at), self.election.standing(at));
            assert_eq!(got, (next, standing.clone()), "at second {second}");
            self
        }
    }

    #[test]
    fn the_first_makes_the_lease_and_renews_it() {
        let mut diary = Diary::new();
        diary.then(0, Move::Create, &Standing::Unknown);
        diary.finds(0, None).then(0, Move::Create, &Standing::Unknown);
        diary.writes(0, 1).then(2, Move::Renew, &Standing::Leading);
        diary.writes(2, 2).then(4, Move::Renew, &Standing::Leading);
        assert_eq!(diary.election.acts_until(), Some(diary.at(10)));
    }

    #[test]
    fn a_follower_takes_over_when_the_lease_has_not_changed_for_its_length() {
        let mut diary = Diary::new();
        let other = following("other");
        let wait = |diary: &Diary, second| Move::Wait(diary.at(second));
        diary.finds(0, Some(record("other", 1)));
        let next = wait(&diary, 2);
        diary.then(0, next, &other);
        // Renewed: the time counts anew, from when we saw it.
        diary.finds(2, Some(record("other", 2)));
        let next = wait(&diary, 4);
        diary.then(2, next, &other);
        // Killed. Unchanged looks change nothing.
        for second in [4, 6, 8, 10] {
            diary.finds(second, Some(record("other", 2)));
            let next = wait(&diary, second + 2);
            diary.then(second, next, &other);
        }
        diary.finds(12, Some(record("other", 2)));
        let next = wait(&diary, 14);
        diary.then(12, next, &other);
        diary.then(14, Move::Take, &other);
        diary.writes(14, 3).then(14, Move::Renew, &Standing::Leading);
    }

    #[test]
    fn looks_again_just_when_the_lease_runs_out() {
        let mut diary = Diary::new();
        diary.finds(1, Some(record("other", 1)));
        let next = Move::Wait(diary.at(13));
        diary.then(12, next, &following("other")).then(13, Move::Take, &following("other"));
    }

    #[test]
    fn a_lease_that_was_given_back_is_taken_at_once() {
        let mut diary = Diary::new();
        diary.finds(0, Some(record("other", 1)));
        diary.finds(2, Some(record("", 2))).then(2, Move::Take, &Standing::Unknown);
    }

    #[test]
    fn a_leader_that_cannot_renew_stops_acting_before_its_lease_ends() {
        let mut diary = Diary::new();
        diary.finds(0, None).writes(0, 1).then(7, Move::Renew, &Standing::Leading);
        diary.then(8, Move::Renew, &Standing::Unsure).then(60, Move::Renew, &Standing::Unsure);
        assert!(TERMS.acts_for < Duration::from_secs(LASTS) && Duration::from_secs(LASTS) == TERMS.lasts);
        // The server is back, and nobody else was there meanwhile.
        diary.finds(60, Some(record("me", 1))).then(60, Move::Renew, &Standing::Unsure);
        diary.writes(60, 2).then(61, Move::Renew, &Standing::Leading);
    }

    #[test]
    fn a_leader_that_finds_another_follows_at_once() {
        let mut diary = Diary::new();
        diary.finds(0, None).writes(0, 1);
        diary.finds(3, Some(record("other", 2)));
        let next = Move::Wait(diary.at(5));
        diary.then(3, next, &following("other"));
        assert_eq!(diary.election.acts_until(), None);
    }

    #[test]
    fn a_renewal_whose_answer_was_lost_does_not_prolong_anything() {
        let mut diary = Diary::new();
        diary.finds(0, None).writes(0, 1);
        // The server took the renewal of second 6; we saw no answer, and look.
        diary.finds(7, Some(record("me", 2))).then(7, Move::Renew, &Standing::Leading);
        diary.then(8, Move::Renew, &Standing::Unsure);
    }

    #[test]
    fn a_lease_that_somebody_deleted_is_made_again() {
        let mut diary = Diary::new();
        diary.finds(0, None).writes(0, 1);
        diary.finds(2, None).then(2, Move::Create, &Standing::Unknown);
    }
}
