//! The query part of a URL, as Flink's server (Netty) takes it apart.

use super::failure::Failure;

/// The parameters of a query, decoded.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Takes a query apart.
    ///
    /// A `%` that no two hexadecimal digits follow is an error: Flink answers it with 500.
    pub(super) fn new(query: &str) -> Result<Self, Failure> {
        let pairs = query.split(['&', ';']).filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        decoded.collect::<Result<_, Failure>>().map(Self)
    }

    /// The value of a parameter; of several of that name, the first.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The items of a parameter that is a list; `None` when it is not there, or empty.
    pub(super) fn list(&self, name: &str) -> Option<Vec<&str>> {
        self.get(name).filter(|value| !value.is_empty()).map(|value| value.split(',').collect())
    }
}

/// Text with `%XX` and `+` replaced by what they stand for.
pub(super) fn decode(text: &str) -> Result<String, Failure> {
    let broken = || Failure::broken_url(text);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = rest.next().zip(rest.next()).map(|(a, b)| [a, b]).ok_or_else(broken)?;
                let digits = digits.map(|digit| char::from(digit).to_digit(16));
                let [Some(high), Some(low)] = digits else { return Err(broken()) };
                u8::try_from(high * 16 + low).map_err(|_| broken())?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_queries_apart() {
        let query = Query::new("get=a,b%2Fc,Source__x%20y&agg=sum&empty=&flag").expect("a query");
        assert_eq!(query.list("get"), Some(vec!["a", "b/c", "Source__x y"]));
        assert_eq!(query.get("agg"), Some("sum"));
        assert_eq!((query.list("empty"), query.get("flag"), query.get("none")), (None, Some(""), None));
        for broken in ["get=50%", "get=%2", "get=%zz", "get=%ff"] {
            assert!(Query::new(broken).is_err(), "{broken}");
        }
    }
}
