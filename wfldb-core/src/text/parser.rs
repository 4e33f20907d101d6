//! Reads a search: `NOT` binds tightest, then `AND`, then `OR`; what merely stands side by side comes last.

use serde::{Deserialize, Serialize};

use super::TextConfig;
use super::lexer::{Placed, Token, tokens};
use super::query::{Clause, Group, TextError, TextFault};
use crate::limits::{
    TEXT_CLAUSES_MAX, TEXT_DEPTH_MAX, TEXT_DISTANCE_MAX, TEXT_OPEN_CLAUSES_MAX, TEXT_PHRASE_WORDS_MAX,
    TEXT_PREFIX_CHARS_MIN, TEXT_QUERY_BYTES_MAX,
};

/// Largest number that a score is multiplied with.
const WEIGHT_MAX: f32 = 100.0;

/// How clauses that stand side by side belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operator {
    /// One of them matches.
    #[default]
    Or,
    /// All of them match.
    And,
}

pub(super) fn parse(
    field: Option<usize>,
    text: &str,
    operator: Operator,
    config: &TextConfig,
) -> Result<Group, TextError> {
    if text.len() > TEXT_QUERY_BYTES_MAX {
        return Err(TextError {
            fault: TextFault::TooLong,
            at: 1,
        });
    }
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens: &tokens,
        next: 0,
        end: text.chars().count() + 1,
        operator,
        config,
        clauses: 0,
        open: 0,
    };
    if tokens.is_empty() {
        return Err(fault(TextFault::Empty, 1));
    }
    let group = parser.list(field, 0, 1)?;
    match parser.peek() {
        None => Ok(group),
        Some(placed) => Err(fault(TextFault::Unopened, placed.at)),
    }
}

fn fault(fault: TextFault, at: usize) -> TextError {
    TextError { fault, at }
}

/// A clause, or that it must not match.
struct Part {
    excluded: bool,
    clause: Clause,
    at: usize,
}

struct Parser<'a> {
    tokens: &'a [Placed],
    next: usize,
    /// The place behind the last character.
    end: usize,
    operator: Operator,
    config: &'a TextConfig,
    clauses: usize,
    /// Those of them that stand for several words of the index.
    open: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Placed> {
        self.tokens.get(self.next)
    }

    fn token(&self) -> Option<&'a Token> {
        self.peek().map(|placed| &placed.token)
    }

    fn at(&self) -> usize {
        self.peek().map_or(self.end, |placed| placed.at)
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.token() == Some(token);
        self.next += usize::from(found);
        found
    }

    /// What stands side by side, up to a closing parenthesis or the end.
    fn list(&mut self, field: Option<usize>, depth: usize, at: usize) -> Result<Group, TextError> {
        if depth > TEXT_DEPTH_MAX {
            return Err(fault(TextFault::TooDeep, at));
        }
        let mut group = Group::default();
        while !matches!(self.token(), None | Some(Token::Close)) {
            if self.take(&Token::Plus) {
                let part = self.any(field, depth)?;
                if part.excluded {
                    return Err(fault(TextFault::Expected, part.at));
                }
                group.must.push(part.clause);
                continue;
            }
            let part = self.any(field, depth)?;
            match (part.excluded, self.operator) {
                (true, _) => group.must_not.push(part.clause),
                (false, Operator::Or) => group.should.push(part.clause),
                (false, Operator::And) => group.must.push(part.clause),
            }
        }
        if group.must.is_empty() && group.should.is_empty() {
            let what = if group.must_not.is_empty() {
                TextFault::Expected
            } else {
                TextFault::OnlyExcluded
            };
            return Err(fault(what, at));
        }
        Ok(group)
    }

    /// Parts with `OR` between them.
    fn any(&mut self, field: Option<usize>, depth: usize) -> Result<Part, TextError> {
        let first = self.all(field, depth)?;
        if self.token() != Some(&Token::Or) {
            return Ok(first);
        }
        let at = first.at;
        let mut parts = vec![first];
        while self.take(&Token::Or) {
            parts.push(self.all(field, depth)?);
        }
        if let Some(part) = parts.iter().find(|part| part.excluded) {
            return Err(fault(TextFault::OnlyExcluded, part.at));
        }
        let group = Group {
            should: parts.into_iter().map(|part| part.clause).collect(),
            ..Group::default()
        };
        Ok(Part {
            excluded: false,
            clause: Clause::Group(group),
            at,
        })
    }

    /// Parts with `AND` between them.
    fn all(&mut self, field: Option<usize>, depth: usize) -> Result<Part, TextError> {
        let first = self.not(field, depth)?;
        if self.token() != Some(&Token::And) {
            return Ok(first);
        }
        let at = first.at;
        let mut group = Group::default();
        let mut part = first;
        loop {
            if part.excluded {
                group.must_not.push(part.clause);
            } else {
                group.must.push(part.clause);
            }
            if !self.take(&Token::And) {
                break;
            }
            part = self.not(field, depth)?;
        }
        if group.must.is_empty() {
            return Err(fault(TextFault::OnlyExcluded, at));
        }
        Ok(Part {
            excluded: false,
            clause: Clause::Group(group),
            at,
        })
    }

    fn not(&mut self, field: Option<usize>, depth: usize) -> Result<Part, TextError> {
        let at = self.at();
        // However many there are: each one turns it round.
        let mut excluded = false;
        while matches!(self.token(), Some(Token::Not | Token::Minus)) {
            self.next += 1;
            excluded = !excluded;
        }
        let clause = self.weighted(field, depth)?;
        Ok(Part { excluded, clause, at })
    }

    fn weighted(&mut self, field: Option<usize>, depth: usize) -> Result<Clause, TextError> {
        let clause = self.primary(field, depth)?;
        let Some(Placed {
            token: Token::Caret(number),
            at,
        }) = self.peek()
        else {
            return Ok(clause);
        };
        self.next += 1;
        let weight = number.parse::<f32>().ok();
        let weight = weight.filter(|weight| *weight > 0.0 && *weight <= WEIGHT_MAX);
        match weight {
            Some(weight) => Ok(Clause::Boost(Box::new(clause), weight)),
            None => Err(fault(TextFault::Weight, *at)),
        }
    }

    fn primary(&mut self, field: Option<usize>, depth: usize) -> Result<Clause, TextError> {
        let at = self.at();
        let token = self.token();
        self.next += 1;
        match token {
            Some(Token::Field(name)) => {
                let field = self.config.field(name);
                match field {
                    // The name is followed by a word, a phrase or a group, and by nothing else.
                    Some(field) if !matches!(self.token(), Some(Token::Field(_))) => {
                        self.primary(Some(field), depth)
                    }
                    Some(_) => Err(fault(TextFault::Expected, self.at())),
                    None => Err(fault(TextFault::UnknownField, at)),
                }
            }
            Some(Token::Open) => {
                let group = self.list(field, depth + 1, at)?;
                if !self.take(&Token::Close) {
                    return Err(fault(TextFault::Unclosed, at));
                }
                Ok(Clause::Group(group))
            }
            Some(Token::Phrase(text)) => {
                self.count(at, false)?;
                if text.split_whitespace().count() > TEXT_PHRASE_WORDS_MAX {
                    return Err(fault(TextFault::PhraseTooLong, at));
                }
                let text = text.clone();
                Ok(Clause::Phrase { field, text, at })
            }
            Some(Token::Word(text)) => self.word(field, text.clone(), at),
            _ => Err(fault(TextFault::Expected, at)),
        }
    }

    /// A word with what may stand right behind it.
    fn word(&mut self, field: Option<usize>, text: String, at: usize) -> Result<Clause, TextError> {
        match self.peek() {
            Some(Placed {
                token: Token::Star,
                at: star,
            }) => {
                self.next += 1;
                if text.chars().count() < TEXT_PREFIX_CHARS_MIN {
                    return Err(fault(TextFault::Prefix, *star));
                }
                self.count(at, true)?;
                Ok(Clause::Prefix { field, text, at })
            }
            Some(Placed {
                token: Token::Tilde(digits),
                at: tilde,
            }) => {
                self.next += 1;
                let distance = if digits.is_empty() {
                    Some(1)
                } else {
                    digits.parse().ok()
                };
                let distance = distance.filter(|distance| (1..=TEXT_DISTANCE_MAX).contains(distance));
                let distance = distance.ok_or(fault(TextFault::Distance, *tilde))?;
                self.count(at, true)?;
                Ok(Clause::Fuzzy {
                    field,
                    text,
                    distance,
                    at,
                })
            }
            _ => {
                self.count(at, false)?;
                Ok(Clause::Word { field, text, at })
            }
        }
    }

    fn count(&mut self, at: usize, open: bool) -> Result<(), TextError> {
        self.clauses += 1;
        self.open += usize::from(open);
        if self.clauses > TEXT_CLAUSES_MAX {
            Err(fault(TextFault::TooManyClauses, at))
        } else if self.open > TEXT_OPEN_CLAUSES_MAX {
            Err(fault(TextFault::TooManyOpen, at))
        } else {
            Ok(())
        }
    }
}
