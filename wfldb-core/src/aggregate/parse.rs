//! Reading a pipeline. What is not known is refused, with its place.

use super::pipeline::{After, By, Function, Pipeline, Step};
use super::state::EndOf;
use super::step::TimeStep;
use crate::doc::{FieldPath, FieldSet, Object, Value};
use crate::encoding::pointer;
use crate::limits::{
    AGGREGATE_BY_MAX, AGGREGATE_FIELDS_MAX, AGGREGATE_PERCENTILES_MAX, AGGREGATE_STAGES_MAX,
    FIELD_PATH_BYTES_MAX,
};
use crate::query::{QueryError, QueryFault, Selector};

/// A value of the body, and where it is.
struct Part<'a> {
    value: &'a Value,
    pointer: String,
}

impl<'a> Part<'a> {
    fn fault(&self, fault: QueryFault) -> QueryError {
        QueryError {
            fault,
            pointer: self.pointer.clone(),
        }
    }

    fn needs(&self, what: &'static str) -> QueryError {
        self.fault(QueryFault::Needs(what))
    }

    fn inside(&self, name: &str, value: &'a Value) -> Self {
        Self {
            value,
            pointer: pointer::inside(&self.pointer, name),
        }
    }

    fn object(&self) -> Result<&'a Object, QueryError> {
        self.value.as_object().ok_or_else(|| self.needs("an object"))
    }

    /// An object with no other members than these.
    fn members(&self, known: &[&str]) -> Result<&'a Object, QueryError> {
        let members = self.object()?;
        match members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, value)) => Err(self.inside(name, value).fault(QueryFault::UnknownMember)),
            None => Ok(members),
        }
    }

    fn member(&self, name: &'static str) -> Result<Self, QueryError> {
        let found = self.object()?.get(name).map(|value| self.inside(name, value));
        found.ok_or_else(|| self.fault(QueryFault::Missing(name)))
    }

    /// The name and the value of an object's only member.
    fn only_member(&self) -> Result<(&'a str, Self), QueryError> {
        let mut members = self.object()?.iter();
        match (members.next(), members.next()) {
            (Some((name, value)), None) => Ok((name, self.inside(name, value))),
            _ => Err(self.needs("an object with one member")),
        }
    }

    fn list(&self, max: usize, what: &'static str) -> Result<Vec<Self>, QueryError> {
        let values = self.value.as_array().ok_or_else(|| self.needs("a list"))?;
        if values.len() > max {
            return Err(self.fault(QueryFault::TooMany(what)));
        }
        let parts = values.iter().enumerate();
        Ok(parts
            .map(|(place, value)| self.inside(&place.to_string(), value))
            .collect())
    }

    fn text(&self) -> Result<&'a str, QueryError> {
        self.value.as_str().ok_or_else(|| self.needs("a text"))
    }

    fn is_true(&self) -> Result<bool, QueryError> {
        self.value.as_bool().ok_or_else(|| self.needs("true or false"))
    }

    fn count(&self, least: u64) -> Result<usize, QueryError> {
        let count = self.value.as_u64().filter(|count| *count >= least);
        let count = count.and_then(|count| usize::try_from(count).ok());
        count.ok_or_else(|| self.fault(QueryFault::Bounds(least, crate::limits::JSON_INTEGER_MAX)))
    }

    /// The number of a field in `fields`.
    fn field(&self, fields: &mut FieldSet) -> Result<usize, QueryError> {
        let path = FieldPath::parse(self.text()?).map_err(|_| self.fault(QueryFault::Field))?;
        Ok(fields.add(&path))
    }

    fn selector(&self) -> Result<Selector, QueryError> {
        let selector = Selector::parse_at(self.value, &self.pointer)?;
        if selector.text().is_some() {
            return Err(self.needs("a selector without `$text`"));
        }
        Ok(selector)
    }
}

/// Reads `{"pipeline": […]}`: selectors, the one group, then what becomes of the groups.
pub(super) fn pipeline(body: &Value) -> Result<Pipeline, QueryError> {
    let body = Part {
        value: body,
        pointer: String::new(),
    };
    body.members(&["pipeline"])?;
    let part = body.member("pipeline")?;
    let mut stages = part.list(AGGREGATE_STAGES_MAX, "stages")?.into_iter();
    let mut fields = FieldSet::default();
    let mut matching = Vec::new();
    let group = loop {
        let stage = stages
            .next()
            .ok_or_else(|| part.fault(QueryFault::Missing("group")))?;
        match stage.only_member()? {
            ("match", selector) => {
                let selector = selector.selector()?;
                selector.condition().paths(&mut |path| {
                    fields.add(path);
                });
                matching.push(selector);
            }
            ("group", group) => break group,
            ("sort" | "skip" | "limit", stage) => {
                return Err(stage.needs("a `group` before it"));
            }
            (_, stage) => return Err(stage.fault(QueryFault::UnknownMember)),
        }
    };
    let (by, functions) = grouping(&group, &mut fields)?;
    let is_column =
        |name: &str| by.iter().any(|by| by.name == name) || functions.iter().any(|(known, _)| known == name);
    let after = stages
        .map(|stage| after(&stage, &is_column))
        .collect::<Result<_, _>>()?;
    Ok(Pipeline {
        fields,
        matching,
        by,
        functions,
        after,
    })
}

fn after(stage: &Part<'_>, is_column: &dyn Fn(&str) -> bool) -> Result<After, QueryError> {
    match stage.only_member()? {
        ("match", selector) => Ok(After::Match(selector.selector()?)),
        ("skip", count) => Ok(After::Skip(count.count(0)?)),
        ("limit", count) => Ok(After::Limit(count.count(1)?)),
        ("sort", keys) => {
            let keys = keys.list(AGGREGATE_BY_MAX + AGGREGATE_FIELDS_MAX, "names")?;
            let keys = keys.iter().map(|key| sort_key(key, is_column));
            Ok(After::Sort(keys.collect::<Result<_, _>>()?))
        }
        ("group", stage) => Err(stage.fault(QueryFault::TooMany("groups"))),
        (_, stage) => Err(stage.fault(QueryFault::UnknownMember)),
    }
}

/// A name, or `{name: "asc"}`, `{name: "desc"}`.
fn sort_key(key: &Part<'_>, is_column: &dyn Fn(&str) -> bool) -> Result<(String, bool), QueryError> {
    let (name, is_descending) = if let Value::String(name) = key.value {
        (name.as_str(), false)
    } else {
        let (name, direction) = key.only_member()?;
        match direction.text()? {
            "asc" => (name, false),
            "desc" => (name, true),
            _ => return Err(direction.needs("`asc` or `desc`")),
        }
    };
    if is_column(name) {
        Ok((name.to_owned(), is_descending))
    } else {
        Err(key.needs("the name of a group's value"))
    }
}

type Grouping = (Vec<By>, Vec<(String, Function)>);

fn grouping(group: &Part<'_>, fields: &mut FieldSet) -> Result<Grouping, QueryError> {
    let members = group.members(&["by", "fields"])?;
    let mut by: Vec<By> = Vec::new();
    if members.contains_key("by") {
        for part in group.member("by")?.list(AGGREGATE_BY_MAX, "fields")? {
            let next = group_by(&part, fields)?;
            if by.iter().any(|known| known.name == next.name) {
                return Err(part.fault(QueryFault::FieldPlace));
            }
            by.push(next);
        }
    }
    let mut functions = Vec::new();
    if members.contains_key("fields") {
        let part = group.member("fields")?;
        let all = part.object()?;
        if all.len() > AGGREGATE_FIELDS_MAX {
            return Err(part.fault(QueryFault::TooMany("fields")));
        }
        for (name, value) in all {
            let part = part.inside(name, value);
            if name.is_empty() || name.len() > FIELD_PATH_BYTES_MAX {
                return Err(part.fault(QueryFault::Field));
            }
            if by.iter().any(|by| by.name == *name) {
                return Err(part.fault(QueryFault::FieldPlace));
            }
            functions.push((name.clone(), function(&part, fields)?));
        }
    }
    Ok((by, functions))
}

/// A field, or `{"field", "as", "bucket" | "width"}`.
fn group_by(part: &Part<'_>, fields: &mut FieldSet) -> Result<By, QueryError> {
    if part.value.is_string() {
        return Ok(By {
            name: part.text()?.to_owned(),
            field: part.field(fields)?,
            step: Step::Value,
        });
    }
    let members = part.members(&["field", "as", "bucket", "width"])?;
    let field = part.member("field")?;
    let name = match members.get("as") {
        Some(name) => part.inside("as", name),
        None => part.member("field")?,
    };
    let step = match (members.get("bucket"), members.get("width")) {
        (None, None) => Step::Value,
        (Some(step), None) => {
            let part = part.inside("bucket", step);
            let step = TimeStep::parse(part.text()?);
            Step::Time(step.ok_or_else(|| part.needs("a length of time such as `15m`, `1h` or `day`"))?)
        }
        (None, Some(width)) => {
            let part = part.inside("width", width);
            let width = part
                .value
                .as_f64()
                .filter(|width| width.is_normal() && *width > 0.0);
            Step::Width(width.ok_or_else(|| part.needs("a number above 0"))?)
        }
        (Some(_), Some(width)) => return Err(part.inside("width", width).fault(QueryFault::FieldPlace)),
    };
    let column = name.text()?;
    if column.is_empty() || column.len() > FIELD_PATH_BYTES_MAX {
        return Err(name.fault(QueryFault::Field));
    }
    Ok(By {
        name: column.to_owned(),
        field: field.field(fields)?,
        step,
    })
}

fn function(part: &Part<'_>, fields: &mut FieldSet) -> Result<Function, QueryError> {
    let (name, argument) = part.only_member()?;
    match name {
        "count" if argument.value.is_string() => Ok(Function::Count(Some(argument.field(fields)?))),
        "count" => match argument.value {
            Value::Bool(true) => Ok(Function::Count(None)),
            _ => Err(argument.needs("true or a field")),
        },
        "sum" => Ok(Function::Sum(argument.field(fields)?)),
        "avg" => Ok(Function::Avg(argument.field(fields)?)),
        "min" => Ok(Function::Min(argument.field(fields)?)),
        "max" => Ok(Function::Max(argument.field(fields)?)),
        "distinct" => distinct(&argument, fields),
        "percentiles" => percentiles(&argument, fields),
        "first" => Ok(Function::First(end(&argument, fields)?)),
        "last" => Ok(Function::Last(end(&argument, fields)?)),
        _ => Err(argument.fault(QueryFault::UnknownOperator)),
    }
}

fn distinct(part: &Part<'_>, fields: &mut FieldSet) -> Result<Function, QueryError> {
    if part.value.is_string() {
        let field = part.field(fields)?;
        return Ok(Function::Distinct {
            field,
            approximate: false,
        });
    }
    let members = part.members(&["field", "approximate"])?;
    let approximate = members
        .get("approximate")
        .map(|value| part.inside("approximate", value));
    Ok(Function::Distinct {
        field: part.member("field")?.field(fields)?,
        approximate: approximate
            .map(|part| part.is_true())
            .transpose()?
            .unwrap_or_default(),
    })
}

fn percentiles(part: &Part<'_>, fields: &mut FieldSet) -> Result<Function, QueryError> {
    part.members(&["field", "at"])?;
    let field = part.member("field")?.field(fields)?;
    let at = part.member("at")?;
    let percents = at.list(AGGREGATE_PERCENTILES_MAX, "percentiles")?;
    if percents.is_empty() {
        return Err(at.needs("a percentile"));
    }
    let percent = |part: &Part<'_>| {
        let percent = part
            .value
            .as_f64()
            .filter(|percent| (0.0..=100.0).contains(percent));
        percent.ok_or_else(|| part.fault(QueryFault::Bounds(0, 100)))
    };
    Ok(Function::Percentiles {
        field,
        percents: percents.iter().map(percent).collect::<Result<_, _>>()?,
    })
}

fn end(part: &Part<'_>, fields: &mut FieldSet) -> Result<EndOf, QueryError> {
    let key = FieldPath::parse("_id").map_err(|_| part.fault(QueryFault::Field))?;
    let (field, by) = if part.value.is_string() {
        (part.field(fields)?, None)
    } else {
        let members = part.members(&["field", "by"])?;
        let by = members.get("by").map(|value| part.inside("by", value));
        let by = by.map(|part| part.field(fields)).transpose()?;
        (part.member("field")?.field(fields)?, by)
    };
    Ok(EndOf {
        field,
        by,
        key: fields.add(&key),
    })
}
