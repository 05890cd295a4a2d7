//! A lake type that the inventory declares, as a [`LakeType`].

use ol_lake::schema::LakeType;

use crate::inventory::DeclaredType;

/// The lake type that a declared type means; `None` for the types that no column of ours can have (`fixed`, and
/// `map` other than of strings).
#[must_use]
pub fn lake_type(declared: &DeclaredType) -> Option<LakeType> {
    parse(declared.as_str())
}

fn parse(text: &str) -> Option<LakeType> {
    Some(match text {
        "boolean" => LakeType::Boolean,
        "int" => LakeType::Int,
        "long" => LakeType::Long,
        "float" => LakeType::Float,
        "double" => LakeType::Double,
        "date" => LakeType::Date,
        "time" => LakeType::Time,
        "timestamp" => LakeType::Timestamp,
        "timestamptz" => LakeType::Timestamptz,
        "string" => LakeType::String,
        "uuid" => LakeType::Uuid,
        "binary" => LakeType::Binary,
        "map<string,string>" => LakeType::StringMap,
        _ => {
            let (head, inner) = text.split_once(['(', '<'])?;
            match head {
                "decimal" => {
                    let (precision, scale) = inner.strip_suffix(')')?.split_once(',')?;
                    LakeType::Decimal {
                        precision: precision.parse().ok()?,
                        scale: scale.parse().ok()?,
                    }
                }
                "list" => LakeType::List(Box::new(parse(inner.strip_suffix('>')?)?)),
                _ => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn every_type_reads_back_what_it_prints() {
        for text in ["boolean", "long", "timestamptz", "decimal(38,9)", "list<list<decimal(5,2)>>"]
        {
            let lake = lake_type(&DeclaredType::parse(text).unwrap()).unwrap();
            assert_eq!(lake.to_string().replace(", ", ","), text);
        }
        assert_eq!(lake_type(&DeclaredType::parse("fixed(16)").unwrap()), None);
    }
}
