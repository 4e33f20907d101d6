//! Whether what a selector asks for holds in every document that another condition selects. It says yes only where that
//! is sure, so that an index of some documents is asked only about those.

use std::cmp::Ordering;

use super::condition::{by_bytes, is_key};
use super::{Comparison, Condition, Test};
use crate::doc::{Value, compare};

/// The conditions that all have to be fulfilled.
pub(super) fn conjuncts(condition: &Condition) -> Vec<&Condition> {
    match condition {
        Condition::All(conditions) => conditions.iter().flat_map(conjuncts).collect(),
        other => vec![other],
    }
}

/// Whether each value that fulfils all `conditions` fulfils `wanted`.
pub(super) fn implies(conditions: &[&Condition], wanted: &Condition) -> bool {
    if conditions.contains(&wanted) {
        return true;
    }
    match wanted {
        Condition::All(all) => all.iter().all(|wanted| implies(conditions, wanted)),
        Condition::Any(any) => any.iter().any(|wanted| implies(conditions, wanted)),
        Condition::Field(path, wanted) => {
            let order = if is_key(path) { by_bytes } else { compare };
            conditions.iter().any(|condition| match condition {
                Condition::Field(known, test) => known == path && test_implies(test, wanted, order),
                _ => false,
            })
        }
        Condition::Itself(_) => false,
    }
}

fn test_implies(known: &Test, wanted: &Test, order: fn(&Value, &Value) -> Ordering) -> bool {
    match (known, wanted) {
        // A condition on a field that is not there is never fulfilled.
        (known, Test::Exists(true)) => *known != Test::Exists(false),
        (Test::Compare(Comparison::Equal, value), wanted) => wanted.matches(value, order),
        (Test::Compare(known, bound), Test::Compare(wanted, value)) => {
            let order = order(bound, value);
            match (known, wanted) {
                (Comparison::Greater, Comparison::Greater | Comparison::AtLeast | Comparison::NotEqual) => {
                    order.is_ge()
                }
                (Comparison::AtLeast, Comparison::AtLeast) => order.is_ge(),
                (Comparison::AtLeast, Comparison::Greater | Comparison::NotEqual) => order.is_gt(),
                (Comparison::Less, Comparison::Less | Comparison::AtMost | Comparison::NotEqual) => {
                    order.is_le()
                }
                (Comparison::AtMost, Comparison::AtMost) => order.is_le(),
                (Comparison::AtMost, Comparison::Less | Comparison::NotEqual) => order.is_lt(),
                _ => false,
            }
        }
        _ => false,
    }
}
