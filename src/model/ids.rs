//! Flink's identifiers: 16 bytes, written as 32 hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that is not an identifier of Flink's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected 32 hexadecimal digits, not {0:?}")]
pub struct IdError(String);

/// The 32 digits, from a table: ids are written hundreds of times in each cycle, and 128-bit arithmetic is slow.
fn hex(bits: u128) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bits.to_be_bytes()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

macro_rules! flink_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(u128);

        impl $name {
            /// The identifier with these 16 bytes.
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            /// Its 16 bytes.
            pub const fn bits(self) -> u128 {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
                match u128::from_str_radix(text, 16) {
                    Ok(bits) if hex => Ok(Self(bits)),
                    // A person's typing slip may be long; an identifier is not.
                    _ => Err(IdError(text.chars().take(40).collect())),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(str::from_utf8(&hex(self.0)).expect("digits are text"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }
    };
}

flink_id!(
    /// A job, as `/jobs` lists it.
    JobId
);
flink_id!(
    /// A job vertex: one chain of operators, as `/jobs/:id` lists it.
    VertexId
);

flink_id!(
    /// What an operation that was asked for is known by: a stop, or a savepoint.
    TriggerId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_flinks_own_form() {
        for (text, ok) in [
            ("a1b2c3d4e5f60718293a4b5c6d7e8f90", true),
            ("A1B2C3D4E5F60718293A4B5C6D7E8F90", true),
            ("", false),
            ("a1b2", false),
            ("+1b2c3d4e5f60718293a4b5c6d7e8f90", false),
            ("g1b2c3d4e5f60718293a4b5c6d7e8f90", false),
            ("a1b2c3d4e5f60718293a4b5c6d7e8f900", false),
        ] {
            assert_eq!(text.parse::<JobId>().is_ok(), ok, "{text:?}");
        }
    }

    #[test]
    fn keeps_leading_zeros() {
        let text = "00000000000000000000000000000001";
        assert_eq!(text.parse::<VertexId>().map(|id| id.to_string()), Ok(text.to_owned()));
    }
}
