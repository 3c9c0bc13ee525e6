//! A stand-in of the lead until `history.rs` and `curve.rs` land: whoever lands them deletes this file (keep `Curve::flat` and `Curve::scaled`).
#![expect(missing_docs, reason = "a stand-in")]
use super::*;
use crate::model::*;
use serde::*;
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    last: Option<Snapshot>,
}
impl History {
    pub fn last(&self) -> Option<&Snapshot> {
        self.last.as_ref()
    }
    pub fn push(&mut self, _: &Observation) {}
    pub fn missed(&self) -> Option<(&Missed, Timestamp)> {
        None
    }
    pub fn signals(&self) -> Option<Signals> {
        None
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    pub a: f64,
    pub b: f64,
    pub c: f64,
}
pub enum Needed {
    Enough(Parallelism),
    Unscalable { best: Parallelism, capacity: f64 },
}
impl Curve {
    pub fn fit(_: &[CurvePoint], _: Timestamp) -> Option<Self> {
        None
    }
    pub fn flat(a: f64) -> Self {
        Self { a, b: 0., c: 0. }
    }
    pub fn scaled(self, f: f64) -> Self {
        Self { a: self.a * f, b: self.b * f, c: self.c * f }
    }
    pub fn service_time(&self, p: Parallelism) -> f64 {
        let p = p.as_f64();
        self.a + self.b * (p - 1.) + self.c * p * (p - 1.)
    }
    pub fn capacity(&self, p: Parallelism) -> f64 {
        p.as_f64() / self.service_time(p)
    }
    pub fn needed(&self, rate: f64, u: f64, most: Parallelism) -> Needed {
        for p in 1..=most.get() {
            let p = Parallelism::clamped(p.into());
            if self.capacity(p) * u >= rate {
                return Needed::Enough(p);
            }
        }
        Needed::Unscalable { best: most, capacity: self.capacity(most) }
    }
}
pub fn learn(_: &mut Vec<CurvePoint>, _: CurvePoint) {}
