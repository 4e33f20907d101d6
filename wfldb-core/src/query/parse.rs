//! Reading selectors: what is implicit becomes explicit, negations are pushed down to the operators.

use super::{Comparison, Condition, JsonType, Pattern, QueryError, QueryFault, Test, TextSearch};
use crate::doc::{FieldPath, Object, Value, compare};
use crate::encoding::pointer;
use crate::limits::{SELECTOR_CLAUSES_MAX, SELECTOR_DEPTH_MAX, SELECTOR_PATTERNS_MAX, SELECTOR_VALUES_MAX};

/// Reads one selector.
pub(super) struct Parser {
    pointer: String,
    depth: usize,
    clauses: usize,
    values: usize,
    patterns: usize,
    text: Option<TextSearch>,
}

/// What a condition is read for.
#[derive(Clone)]
struct Context {
    /// The field that it is for; `None`: the document or element itself.
    path: Option<FieldPath>,
    /// Inside `$not` or `$nor`, an odd number of times.
    negated: bool,
    /// Where the conditions on elements and names are, of which the value itself can be asked.
    of_element: bool,
    /// Where `$text` can stand.
    text: bool,
}

impl Context {
    /// For something below an operator.
    fn below(&self) -> Self {
        Self {
            text: false,
            ..self.clone()
        }
    }

    fn condition(&self, test: Test) -> Result<Condition, QueryFault> {
        let test = if self.negated { negate(test) } else { test };
        match &self.path {
            Some(path) => Ok(Condition::Field(path.clone(), test)),
            None if self.of_element => Ok(Condition::Itself(test)),
            None => Err(QueryFault::NoField),
        }
    }

    /// All of them, or, negated, at least one of what they were negated to.
    fn all(&self, conditions: Vec<Condition>) -> Condition {
        join(conditions, !self.negated)
    }

    fn any(&self, conditions: Vec<Condition>) -> Condition {
        join(conditions, self.negated)
    }
}

fn join(mut conditions: Vec<Condition>, all: bool) -> Condition {
    match conditions.pop() {
        Some(only) if conditions.is_empty() => only,
        last => {
            conditions.extend(last);
            if all {
                Condition::All(conditions)
            } else {
                Condition::Any(conditions)
            }
        }
    }
}

/// The test that a value which is there passes exactly when it does not pass this one.
fn negate(test: Test) -> Test {
    match test {
        Test::Compare(comparison, value) => Test::Compare(comparison.opposite(), value),
        Test::In(values) => Test::NotIn(values),
        Test::NotIn(values) => Test::In(values),
        Test::Exists(there) => Test::Exists(!there),
        Test::Not(test) => *test,
        other => Test::Not(Box::new(other)),
    }
}

impl Parser {
    /// `pointer` is where the selector stands.
    pub(super) fn new(pointer: &str) -> Self {
        Self {
            pointer: pointer.to_owned(),
            depth: 0,
            clauses: 0,
            values: 0,
            patterns: 0,
            text: None,
        }
    }

    pub(super) fn into_text(self) -> Option<TextSearch> {
        self.text
    }

    pub(super) fn selector(&mut self, value: &Value) -> Result<Condition, QueryError> {
        let context = Context {
            path: None,
            negated: false,
            of_element: false,
            text: true,
        };
        if value.is_object() {
            self.condition(value, &context)
        } else {
            Err(self.fault(QueryFault::Needs("an object")))
        }
    }

    fn fault(&self, fault: QueryFault) -> QueryError {
        QueryError {
            fault,
            pointer: self.pointer.clone(),
        }
    }

    /// Reads something that is a step further inside.
    fn inside<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let back = pointer::push(&mut self.pointer, name);
        if self.depth >= SELECTOR_DEPTH_MAX {
            return Err(self.fault(QueryFault::TooDeep));
        }
        self.depth += 1;
        let found = read(self)?;
        self.depth -= 1;
        self.pointer.truncate(back);
        Ok(found)
    }

    fn condition(&mut self, value: &Value, context: &Context) -> Result<Condition, QueryError> {
        self.clauses += 1;
        if self.clauses > SELECTOR_CLAUSES_MAX {
            return Err(self.fault(QueryFault::TooMany("conditions")));
        }
        match value {
            Value::Object(members) if !members.is_empty() => self.members(members, context),
            Value::Object(_) if context.path.is_none() && !context.of_element => Ok(context.all(Vec::new())),
            // A bare value means equality.
            _ => self.test(context, Test::Compare(Comparison::Equal, value.clone())),
        }
    }

    fn members(&mut self, members: &Object, context: &Context) -> Result<Condition, QueryError> {
        let mut conditions = Vec::with_capacity(members.len());
        for (name, value) in members {
            let read = |parser: &mut Self| {
                if name == "$text" {
                    parser.text(value, context).map(|()| None)
                } else if name.starts_with('$') {
                    parser.operator(name, value, context).map(Some)
                } else {
                    parser.field(name, value, context).map(Some)
                }
            };
            conditions.extend(self.inside(name, read)?);
        }
        Ok(context.all(conditions))
    }

    fn field(&mut self, name: &str, value: &Value, context: &Context) -> Result<Condition, QueryError> {
        let inner = FieldPath::parse(name);
        let path = match &context.path {
            Some(outer) => inner.and_then(|inner| outer.join(&inner)),
            None => inner,
        };
        let path = Some(path.map_err(|_| self.fault(QueryFault::Field))?);
        self.condition(
            value,
            &Context {
                path,
                ..context.clone()
            },
        )
    }

    fn text(&mut self, argument: &Value, context: &Context) -> Result<(), QueryError> {
        if !context.text || self.text.is_some() {
            return Err(self.fault(QueryFault::TextPlace));
        }
        if !argument.is_string() && !argument.is_object() {
            return Err(self.fault(QueryFault::Needs("a text or an object")));
        }
        self.text = Some(TextSearch {
            field: context.path.clone(),
            argument: argument.clone(),
            pointer: self.pointer.clone(),
        });
        Ok(())
    }

    fn test(&self, context: &Context, test: Test) -> Result<Condition, QueryError> {
        context.condition(test).map_err(|fault| self.fault(fault))
    }

    fn operator(&mut self, name: &str, value: &Value, context: &Context) -> Result<Condition, QueryError> {
        match name {
            "$and" => Ok(context.all(self.list_of_conditions(value, context)?)),
            "$or" => Ok(context.any(self.list_of_conditions(value, &context.below())?)),
            "$nor" => {
                let negated = Context {
                    negated: !context.negated,
                    ..context.below()
                };
                Ok(negated.any(self.list_of_conditions(value, &negated)?))
            }
            "$not" => {
                let negated = Context {
                    negated: !context.negated,
                    ..context.below()
                };
                self.object(value)?;
                self.condition(value, &negated)
            }
            _ => {
                let test = self.terminal(name, value)?;
                self.test(context, test)
            }
        }
    }

    fn list_of_conditions(&mut self, value: &Value, context: &Context) -> Result<Vec<Condition>, QueryError> {
        let values = self.list(value)?;
        values
            .iter()
            .enumerate()
            .map(|(place, value)| self.inside(&place.to_string(), |parser| parser.condition(value, context)))
            .collect()
    }

    fn terminal(&mut self, name: &str, value: &Value) -> Result<Test, QueryError> {
        let compare_with = |comparison| Ok(Test::Compare(comparison, value.clone()));
        match name {
            "$eq" => compare_with(Comparison::Equal),
            "$ne" => compare_with(Comparison::NotEqual),
            "$lt" => compare_with(Comparison::Less),
            "$lte" => compare_with(Comparison::AtMost),
            "$gt" => compare_with(Comparison::Greater),
            "$gte" => compare_with(Comparison::AtLeast),
            "$in" => Ok(Test::In(self.set(value)?)),
            "$nin" => Ok(Test::NotIn(self.set(value)?)),
            "$all" => Ok(Test::HasAll(self.set(value)?)),
            "$exists" => match value {
                Value::Bool(there) => Ok(Test::Exists(*there)),
                _ => Err(self.fault(QueryFault::Needs("true or false"))),
            },
            "$type" => value
                .as_str()
                .and_then(JsonType::parse)
                .map(Test::Type)
                .ok_or_else(|| {
                    self.fault(QueryFault::Needs(
                        "one of null, boolean, number, string, array, object",
                    ))
                }),
            "$mod" => match value.as_array().map(Vec::as_slice) {
                Some([divisor, remainder]) => match (divisor.as_i64(), remainder.as_i64()) {
                    (Some(divisor), Some(remainder)) if divisor != 0 => Ok(Test::Mod { divisor, remainder }),
                    _ => Err(self.fault(QueryFault::Needs("two whole numbers, the first not 0,"))),
                },
                _ => Err(self.fault(QueryFault::Needs("two whole numbers, the first not 0,"))),
            },
            "$size" => match value.as_u64() {
                Some(size) => Ok(Test::Size(size)),
                None => Err(self.fault(QueryFault::Needs("a whole number from 0"))),
            },
            "$regex" => self.pattern(value).map(Test::Matches),
            "$beginsWith" | "$startsWith" => self.string(value).map(Test::StartsWith),
            "$endsWith" => self.string(value).map(Test::EndsWith),
            "$contains" => self.string(value).map(Test::Contains),
            "$elemMatch" => self.of_elements(value).map(Test::AnyElement),
            "$allMatch" => self.of_elements(value).map(Test::EveryElement),
            "$keyMapMatch" => self.of_elements(value).map(Test::AnyName),
            _ => Err(self.fault(QueryFault::UnknownOperator)),
        }
    }

    /// The condition on an element or a name.
    fn of_elements(&mut self, value: &Value) -> Result<Box<Condition>, QueryError> {
        self.object(value)?;
        let context = Context {
            path: None,
            negated: false,
            of_element: true,
            text: false,
        };
        self.condition(value, &context).map(Box::new)
    }

    fn object(&self, value: &Value) -> Result<(), QueryError> {
        if value.is_object() {
            Ok(())
        } else {
            Err(self.fault(QueryFault::Needs("an object")))
        }
    }

    fn list<'a>(&self, value: &'a Value) -> Result<&'a [Value], QueryError> {
        match value {
            Value::Array(values) => Ok(values),
            _ => Err(self.fault(QueryFault::Needs("a list"))),
        }
    }

    fn string(&self, value: &Value) -> Result<String, QueryError> {
        match value {
            Value::String(text) => Ok(text.clone()),
            _ => Err(self.fault(QueryFault::Needs("a text"))),
        }
    }

    /// A list of values in which order and repetition mean nothing.
    fn set(&mut self, value: &Value) -> Result<Vec<Value>, QueryError> {
        let mut values = self.list(value)?.to_vec();
        self.values += values.len();
        if self.values > SELECTOR_VALUES_MAX {
            return Err(self.fault(QueryFault::TooMany("values")));
        }
        values.sort_unstable_by(compare);
        values.dedup_by(|left, right| compare(left, right).is_eq());
        Ok(values)
    }

    fn pattern(&mut self, value: &Value) -> Result<Pattern, QueryError> {
        let text = self.string(value)?;
        self.patterns += 1;
        if self.patterns > SELECTOR_PATTERNS_MAX {
            return Err(self.fault(QueryFault::TooMany("regular expressions")));
        }
        Pattern::parse(&text).ok_or_else(|| self.fault(QueryFault::Pattern))
    }
}
