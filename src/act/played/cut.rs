//! When the one who asks is cut off, as by kill -9: at a request, before or after it is worked on.

/// Counts requests, and knows of one that nobody will hear the answer of.
#[derive(Debug, Default)]
pub(in crate::act) struct Cut {
    at: Option<(u64, bool)>,
    requests: u64,
}

/// How a request fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::act) enum Heard {
    /// Who asked waits for the answer.
    ToTheEnd,
    /// It is not sent any more.
    Never,
    /// It is worked on, and nobody is there for the answer.
    Sent,
}

impl Cut {
    /// Cuts off at the request that comes so many after this.
    pub(in crate::act) fn off_in(&mut self, nth: u64, worked_on: bool) {
        self.at = Some((self.requests + nth, worked_on));
    }

    /// Somebody else asks now.
    pub(in crate::act) fn forget(&mut self) {
        self.at = None;
    }

    /// The next request.
    pub(in crate::act) fn next(&mut self) -> Heard {
        self.requests += 1;
        match self.at.filter(|(at, _)| *at == self.requests) {
            None => Heard::ToTheEnd,
            Some((_, false)) => Heard::Never,
            Some((_, true)) => Heard::Sent,
        }
    }
}
