//! JSON as the sender of today holds it: Python's view of a document, not Rust's.
//!
//! `serde_json::Value` rounds integers beyond 64 bits and may sort keys, and both would change bytes that are
//! signed. Here an integer keeps all its digits, an object keeps the order of its keys, and every value that
//! [`parse`](super::parser::parse) yields can be written by [`encode`](super::python::encode) exactly as CPython
//! writes it.

use super::parser::MAXIMUM_DEPTH;

/// A JSON value.
///
/// [`parse`](super::parser::parse) and the constructors keep what the variants promise; a value put together by hand
/// is checked with [`Value::broken_promise`] before it becomes a payload.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Decimal digits as Python prints an `int`: an optional minus, no leading zero, no minus zero, any length.
    Integer(String),
    /// A finite number that was written with a point or an exponent.
    Float(f64),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// Pairs in the order in which they are written; no key twice.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// A float. `None` when it is infinite or not a number, which JSON cannot say.
    pub fn float(number: f64) -> Option<Self> {
        number.is_finite().then_some(Self::Float(number))
    }

    /// An integer from decimal digits with an optional minus, brought into Python's form. `None` for anything else.
    pub fn integer_of_digits(digits: &str) -> Option<Self> {
        let (minus, magnitude) = match digits.strip_prefix('-') {
            Some(magnitude) => ("-", magnitude),
            None => ("", digits),
        };
        if magnitude.is_empty() || !magnitude.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = magnitude.trim_start_matches('0');
        Some(Self::Integer(match significant {
            "" => "0".to_owned(),
            _ => format!("{minus}{significant}"),
        }))
    }

    /// An object with these pairs in this order; of a repeated key the last value, at the place of the first.
    pub fn object<K: Into<String>>(pairs: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(unique(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect()))
    }

    /// The value of a key. `None` when this is no object or has no such key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// The digits, if this is an integer.
    pub fn as_digits(&self) -> Option<&str> {
        if let Self::Integer(digits) = self { Some(digits) } else { None }
    }

    /// The number, if this is a float, or an integer within the range of one (then rounded as Python's `float` does).
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(number) => Some(*number),
            Self::Integer(digits) => digits.parse().ok().filter(|number: &f64| number.is_finite()),
            Self::Null | Self::Bool(_) | Self::String(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// The items, if this is a list.
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The pairs, if this is an object.
    pub fn as_object(&self) -> Option<&[(String, Self)]> {
        if let Self::Object(pairs) = self { Some(pairs) } else { None }
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether Python takes the value for true: the receiver's checks are written as `if value`.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(truth) => *truth,
            Self::Integer(digits) => digits != "0",
            Self::Float(number) => *number != 0.0,
            Self::String(text) => !text.is_empty(),
            Self::Array(items) => !items.is_empty(),
            Self::Object(pairs) => !pairs.is_empty(),
        }
    }

    /// The first place, for example `sources[2].width`, where a value made by hand is not what its variant promises,
    /// and the promise. Also refuses nesting that the parser would refuse. `None` for every parsed value.
    pub fn broken_promise(&self) -> Option<(String, &'static str)> {
        self.broken_below(0).map(|(place, promise)| {
            // A place grows from the inside out, each step with its own separator in front.
            (place.strip_prefix('.').unwrap_or(&place).to_owned(), promise)
        })
    }

    /// The same for a value inside `depth` lists and objects; the place has its separator in front.
    pub(super) fn broken_below(&self, depth: usize) -> Option<(String, &'static str)> {
        let here = |promise| Some((String::new(), promise));
        match self {
            Self::Null | Self::Bool(_) | Self::String(_) => None,
            Self::Integer(digits) => {
                let is_canonical = Self::integer_of_digits(digits).as_ref() == Some(self);
                if is_canonical {
                    None
                } else {
                    here("Must be decimal digits as Python prints them")
                }
            }
            Self::Float(number) if number.is_finite() => None,
            Self::Float(_) => here("Must be a finite number"),
            Self::Array(_) | Self::Object(_) if depth == MAXIMUM_DEPTH => {
                here("Must not be nested deeper than 100 levels")
            }
            Self::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
                let (place, promise) = item.broken_below(depth + 1)?;
                Some((format!("[{index}]{place}"), promise))
            }),
            Self::Object(pairs) => {
                let mut keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
                keys.sort_unstable();
                if keys.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
                    return here("Must not hold a key twice");
                }
                pairs.iter().find_map(|(key, value)| {
                    let (place, promise) = value.broken_below(depth + 1)?;
                    Some((format!(".{key}{place}"), promise))
                })
            }
        }
    }

    /// The same value from `serde_json`. Numbers are what that library holds: 64-bit integers and floats.
    ///
    /// Built to hold longer numbers, that library may hold one that is neither; it becomes a broken promise and not
    /// another number.
    pub fn from_serde(value: &serde_json::Value) -> Self {
        use serde_json::Value as Serde;
        match value {
            Serde::Null => Self::Null,
            Serde::Bool(truth) => Self::Bool(*truth),
            Serde::Number(number) => number
                .as_i64()
                .map(Self::from)
                .or_else(|| number.as_u64().map(Self::from))
                .or_else(|| number.as_f64().and_then(Self::float))
                .unwrap_or(Self::Float(f64::NAN)),
            Serde::String(text) => Self::String(text.clone()),
            Serde::Array(items) => Self::Array(items.iter().map(Self::from_serde).collect()),
            Serde::Object(map) => Self::Object(
                map.iter().map(|(key, value)| (key.clone(), Self::from_serde(value))).collect(),
            ),
        }
    }

    /// The same value for `serde_json`. `None` when it holds an integer beyond 64 bits.
    pub fn to_serde(&self) -> Option<serde_json::Value> {
        use serde_json::Value as Serde;
        Some(match self {
            Self::Null => Serde::Null,
            Self::Bool(truth) => Serde::Bool(*truth),
            Self::Integer(digits) => match digits.parse::<i64>() {
                Ok(number) => Serde::from(number),
                Err(_) => Serde::from(digits.parse::<u64>().ok()?),
            },
            Self::Float(number) => Serde::Number(serde_json::Number::from_f64(*number)?),
            Self::String(text) => Serde::String(text.clone()),
            Self::Array(items) => {
                Serde::Array(items.iter().map(Self::to_serde).collect::<Option<_>>()?)
            }
            Self::Object(pairs) => Serde::Object(
                pairs
                    .iter()
                    .map(|(key, value)| Some((key.clone(), value.to_serde()?)))
                    .collect::<Option<_>>()?,
            ),
        })
    }
}

/// The pairs as a Python `dict` would hold them: a repeated key keeps its first place and takes its last value.
pub(super) fn unique(pairs: Vec<(String, Value)>) -> Vec<(String, Value)> {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    let key = |index: &usize| pairs.get(*index).map(|(key, _)| key.as_str());
    order.sort_by(|one, other| key(one).cmp(&key(other)).then(one.cmp(other)));
    // Runs of the same key, each in the order of appearance: (the first place, the last place).
    let mut places: Vec<(usize, usize)> = Vec::with_capacity(pairs.len());
    for group in order.chunk_by(|one, other| key(one) == key(other)) {
        if let (Some(first), Some(last)) = (group.first(), group.last()) {
            places.push((*first, *last));
        }
    }
    if places.len() == pairs.len() {
        return pairs;
    }
    places.sort_unstable();
    let mut pairs: Vec<Option<(String, Value)>> = pairs.into_iter().map(Some).collect();
    places.into_iter().filter_map(|(_, last)| pairs.get_mut(last).and_then(Option::take)).collect()
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number.to_string())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(number.to_string())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<Vec<Self>> for Value {
    fn from(items: Vec<Self>) -> Self {
        Self::Array(items)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn digits_take_pythons_form() {
        for (written, kept) in [("007", "7"), ("-0", "0"), ("-012", "-12"), ("0", "0")] {
            assert_eq!(Value::integer_of_digits(written), Some(Value::Integer(kept.to_owned())));
        }
        for refused in ["", "-", "+1", "1.0", "1_000", " 1", "٣"] {
            assert_eq!(Value::integer_of_digits(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn a_repeated_key_keeps_its_first_place_and_last_value() {
        let value = Value::object([
            ("b", Value::from(1_i64)),
            ("a", Value::from(2_i64)),
            ("b", Value::from(3_i64)),
            ("c", Value::from(4_i64)),
            ("b", Value::from(5_i64)),
        ]);
        let pairs: Vec<_> = value
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_digits().unwrap()))
            .collect();
        assert_eq!(pairs, [("b", "5"), ("a", "2"), ("c", "4")]);
    }

    #[test]
    fn a_hand_made_value_is_checked_and_its_place_named() {
        let broken = |inner| {
            Value::object([(
                "sources",
                Value::Array(vec![Value::Null, Value::object([("x", inner)])]),
            )])
            .broken_promise()
            .map(|(place, _)| place)
        };
        assert_eq!(broken(Value::Float(f64::NAN)), Some("sources[1].x".to_owned()));
        assert_eq!(broken(Value::Integer("01".to_owned())), Some("sources[1].x".to_owned()));
        let twice = vec![("k".to_owned(), Value::Null), ("k".to_owned(), Value::Null)];
        assert_eq!(broken(Value::Object(twice)), Some("sources[1].x".to_owned()));
        assert_eq!(broken(Value::Float(-0.0)), None);

        let nested =
            |levels: usize| (0..levels).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        assert_eq!(nested(MAXIMUM_DEPTH).broken_promise(), None);
        assert!(nested(MAXIMUM_DEPTH + 1).broken_promise().is_some());
    }

    #[test]
    fn to_and_from_the_other_library() {
        let serde = serde_json::json!({"z": [null, true, -1, u64::MAX, 1.5, "text"], "a": {}});
        let value = Value::from_serde(&serde);
        assert_eq!(value.to_serde(), Some(serde));
        assert_eq!(value.as_object().unwrap().first().unwrap().0, "z", "the order is kept");
        assert_eq!(Value::Integer("18446744073709551616".to_owned()).to_serde(), None);
        assert_eq!(Value::Float(f64::INFINITY).to_serde(), None);
    }

    #[test]
    fn truth_is_pythons() {
        for falsy in [
            Value::Null,
            Value::from(false),
            Value::from(0_i64),
            Value::Float(-0.0),
            Value::from(""),
            Value::Array(Vec::new()),
            Value::Object(Vec::new()),
        ] {
            assert!(!falsy.is_truthy(), "{falsy:?}");
        }
        assert!(Value::from("false").is_truthy());
        assert!(Value::from(-1_i64).is_truthy());
    }
}
