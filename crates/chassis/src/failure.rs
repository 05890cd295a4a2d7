//! Kinds of failure, and an error that carries one: the frame that every service fills with its own
//! lists.
//!
//! A service declares closed lists of kinds ([`kinds!`](crate::kinds)), each with the sentence it
//! starts with, one failure over the lists ([`failure_of!`](crate::failure_of)), and one error type
//! over it ([`error_of!`](crate::error_of)): kind, facts as pairs, cause. What follows from a kind (retry, exit code, advice, runbook) stands in the service's
//! policy table, matched without a catch-all; [`fill`] puts the facts into the advice.

/// Declares the kinds of one family, each with its headline.
#[macro_export]
macro_rules! kinds {
    (
        $(#[$attribute:meta])*
        $name:ident { $($(#[$variant_attribute:meta])* $variant:ident = $headline:literal,)+ }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_attribute])* $variant,)+ }

        impl $name {
            /// Every kind, in the order of this file.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// What happened, as the start of a sentence.
            pub fn headline(self) -> &'static str {
                match self { $(Self::$variant => $headline),+ }
            }

            /// The kind's name as records keep it: `secret_wrong`.
            pub fn word(self) -> String {
                $crate::failure::snake_case(match self { $(Self::$variant => stringify!($variant)),+ })
            }
        }
    };
}

/// Declares a failure: a kind of one of several families.
#[macro_export]
macro_rules! failure_of {
    (
        $(#[$attribute:meta])*
        $name:ident { $($(#[$family_attribute:meta])* $family:ident,)+ }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$family_attribute])* $family($family),)+ }

        impl $name {
            /// Every kind of failure.
            pub fn all() -> impl Iterator<Item = Self> {
                ::std::iter::empty()$(.chain($family::ALL.iter().copied().map(Self::$family)))+
            }

            /// What happened, as the start of a sentence.
            pub fn headline(self) -> &'static str {
                match self { $(Self::$family(kind) => kind.headline()),+ }
            }

            /// The name that records keep: `secret_wrong`.
            pub fn word(self) -> String {
                match self { $(Self::$family(kind) => kind.word()),+ }
            }
        }

        $(impl From<$family> for $name {
            fn from(kind: $family) -> Self {
                Self::$family(kind)
            }
        })+
    };
}

/// Declares an error over a kind that has `headline()`.
///
/// Printed as `The user may not read the table (unit: mitxonline/app_postgres, table: public.x)`;
/// the cause is reached by [`std::error::Error::source`] and is never part of the printed line, so a
/// chain prints once.
#[macro_export]
macro_rules! error_of {
    ($(#[$attribute:meta])* $name:ident($kind:ty)) => {
        $(#[$attribute])*
        pub struct $name(Box<$crate::failure::Inner<$kind>>);

        impl $name {
            /// A failure of a kind, without facts.
            pub fn new(kind: impl Into<$kind>) -> Self {
                Self(Box::new($crate::failure::Inner {
                    kind: kind.into(),
                    context: Vec::new(),
                    advice: None,
                    source: None,
                }))
            }

            /// A failure of the ground that a binary stands on. Its text names variables, files and paths of
            /// secrets, never what they hold.
            pub fn of_ground(kind: impl Into<$kind>, error: $crate::Error) -> Self {
                let failed = Self::new(kind).with("what", &error);
                let failed = match error.advice() {
                    Some(advice) => failed.advise(format!("{}.", advice.trim_end_matches('.'))),
                    None => failed,
                };
                failed.because(error)
            }

            /// Adds a fact: a name, a type, a count, a position. Never the value of a cell or a
            /// secret. A fact that is known already is not said twice.
            #[must_use]
            pub fn with(mut self, key: &'static str, value: impl ::std::fmt::Display) -> Self {
                let fact = (key, value.to_string());
                if !self.0.context.contains(&fact) {
                    self.0.context.push(fact);
                }
                self
            }

            /// Says what to do next in other words than the kind's own, for a case known more
            /// exactly.
            #[must_use]
            pub fn advise(mut self, advice: impl Into<String>) -> Self {
                self.0.advice = Some(advice.into());
                self
            }

            /// Sets the cause.
            #[must_use]
            pub fn because(mut self, source: impl Into<$crate::error::Cause>) -> Self {
                self.0.source = Some(source.into());
                self
            }

            /// The same failure with the same facts, without its cause: for each of the things it
            /// concerns.
            #[must_use]
            pub fn again(&self) -> Self {
                Self(Box::new($crate::failure::Inner {
                    kind: self.0.kind,
                    context: self.0.context.clone(),
                    advice: self.0.advice.clone(),
                    source: None,
                }))
            }

            /// What kind of failure it is.
            pub fn failure(&self) -> $kind {
                self.0.kind
            }

            /// The facts, in the order they were added.
            pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
                self.0.context.iter().map(|(key, value)| (*key, value.as_str()))
            }

            /// Advice that replaces the kind's own, when there is one.
            pub fn own_advice(&self) -> Option<&str> {
                self.0.advice.as_deref()
            }

            /// The first fact of this name.
            pub fn fact(&self, key: &str) -> Option<&str> {
                self.context().find(|(name, _)| *name == key).map(|(_, value)| value)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $crate::failure::print(formatter, self.0.kind.headline(), &self.0.context)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                formatter
                    .debug_struct("Error")
                    .field("failure", &self.0.kind)
                    .field("context", &self.0.context)
                    .field("source", &self.0.source)
                    .finish()
            }
        }

        impl ::std::error::Error for $name {
            fn source(&self) -> Option<&(dyn ::std::error::Error + 'static)> {
                self.0.source.as_deref().map(|source| source as _)
            }
        }
    };
}

/// What [`error_of!`](crate::error_of) keeps; for its expansion only.
#[doc(hidden)]
pub struct Inner<K> {
    pub kind: K,
    pub context: Vec<(&'static str, String)>,
    pub advice: Option<String>,
    pub source: Option<crate::error::Cause>,
}

/// How [`error_of!`](crate::error_of) prints; for its expansion only.
#[doc(hidden)]
pub fn print(
    formatter: &mut std::fmt::Formatter<'_>,
    headline: &str,
    context: &[(&'static str, String)],
) -> std::fmt::Result {
    formatter.write_str(headline)?;
    for (index, (key, value)) in context.iter().enumerate() {
        write!(formatter, "{}{key}: {value}", if index == 0 { " (" } else { ", " })?;
    }
    if context.is_empty() { Ok(()) } else { formatter.write_str(")") }
}

/// `SecretWrong` as `secret_wrong`.
#[doc(hidden)]
pub fn snake_case(name: &str) -> String {
    name.char_indices().fold(String::with_capacity(name.len() + 4), |mut text, (index, letter)| {
        if letter.is_ascii_uppercase() && index > 0 {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
        text
    })
}

/// A sentence with its `{key}` filled in; a fact that the failure does not have is said in general
/// words (`the table`).
pub fn fill<'f>(template: &str, fact: impl Fn(&str) -> Option<&'f str>) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (key, after) = after.split_once('}').unwrap_or((after, ""));
        text.push_str(before);
        match fact(key) {
            Some(value) => text.push_str(value),
            None => {
                text.push_str("the ");
                text.push_str(key);
            }
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "the macros declare what a crate makes public")]
mod tests {
    use super::fill;

    kinds! {
        /// Weather.
        Kind { /// It rains.
            Rain = "It rains", }
    }

    kinds! {
        /// Facts.
        Fact { /// There is no umbrella.
            UmbrellaMissing = "There is no umbrella", }
    }

    failure_of! {
        /// Either.
        Failure { /// Goes away.
            Kind, /// Stays.
            Fact, }
    }

    error_of! {
        /// An error of this test.
        Failed(Failure)
    }

    #[test]
    fn an_error_prints_its_facts_once_and_keeps_its_cause_apart() {
        let error = Failed::new(Kind::Rain)
            .with("place", "Boston")
            .with("place", "Boston")
            .because(std::io::Error::other("clouds"));
        assert_eq!(error.to_string(), "It rains (place: Boston)");
        assert_eq!(crate::error::chain(&error), "It rains (place: Boston): clouds");
        assert_eq!(error.failure(), Failure::Kind(Kind::Rain));
        assert_eq!(error.again().fact("place"), Some("Boston"));
        assert_eq!(error.advise("Wait").own_advice(), Some("Wait"));
        let words: Vec<String> = Failure::all().map(Failure::word).collect();
        assert_eq!(words, ["rain", "umbrella_missing"]);
    }

    #[test]
    fn what_the_ground_says_is_a_fact_and_its_advice_a_sentence() {
        let ground = crate::Error::definite("The cellar is locked").advise("Ask the janitor");
        let error = Failed::of_ground(Fact::UmbrellaMissing, ground);
        assert_eq!(error.fact("what"), Some("The cellar is locked"));
        assert_eq!(error.own_advice(), Some("Ask the janitor."));
    }

    #[test]
    fn advice_is_filled_with_facts_and_a_value_is_no_placeholder() {
        let facts = |key: &str| (key == "place").then_some("{umbrella}");
        assert_eq!(
            fill("Stay in {place}; take {umbrella}.", facts),
            "Stay in {umbrella}; take the umbrella."
        );
    }
}
