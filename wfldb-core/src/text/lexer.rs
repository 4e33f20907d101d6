//! The pieces that a search is written with, each with its place.

use super::query::{TextError, TextFault};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Open,
    Close,
    Plus,
    Minus,
    And,
    Or,
    Not,
    /// A name with `:` right behind it.
    Field(String),
    Word(String),
    Phrase(String),
    /// `*` right behind a word.
    Star,
    /// `~` right behind a word, with the digits behind it.
    Tilde(String),
    /// `^` with the number behind it.
    Caret(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) token: Token,
    /// The number of its first character, from 1.
    pub(super) at: usize,
}

/// Cuts a search into its pieces.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, TextError> {
    let characters: Vec<char> = text.chars().collect();
    let mut lexer = Lexer {
        characters: &characters,
        next: 0,
        found: Vec::new(),
    };
    while lexer.step()? {}
    Ok(lexer.found)
}

struct Lexer<'a> {
    characters: &'a [char],
    next: usize,
    found: Vec<Placed>,
}

/// Whether a character ends a word.
fn ends_word(character: char) -> bool {
    character.is_whitespace() || matches!(character, '(' | ')' | '"' | ':' | '^' | '~' | '*')
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.next).copied()
    }

    fn put(&mut self, token: Token, at: usize) {
        self.found.push(Placed { token, at: at + 1 });
    }

    /// Whether the last piece ends right before the next character, so that what follows belongs to it.
    fn is_behind_something(&self) -> bool {
        let sign = self.found.last().filter(|last| last.at == self.next);
        if sign.is_some_and(|last| matches!(last.token, Token::Plus | Token::Minus)) {
            return false;
        }
        let before = self.next.checked_sub(1).and_then(|at| self.characters.get(at));
        before.is_some_and(|character| !character.is_whitespace() && *character != '(')
    }

    fn step(&mut self) -> Result<bool, TextError> {
        let at = self.next;
        let Some(character) = self.peek() else {
            return Ok(false);
        };
        let expected = TextError {
            fault: TextFault::Expected,
            at: at + 1,
        };
        match character {
            _ if character.is_whitespace() => self.next += 1,
            '(' => self.one(Token::Open),
            ')' => self.one(Token::Close),
            '+' if !self.is_behind_something() => self.one(Token::Plus),
            '-' if !self.is_behind_something() => self.one(Token::Minus),
            '"' => self.phrase()?,
            '*' | '~' | '^' | ':' if !self.is_behind_something() => return Err(expected),
            '*' => self.one(Token::Star),
            '~' => {
                self.next += 1;
                let digits = self.run(|character| character.is_ascii_digit());
                self.put(Token::Tilde(digits), at);
            }
            '^' => {
                self.next += 1;
                let number = self.run(|character| character.is_ascii_digit() || character == '.');
                self.put(Token::Caret(number), at);
            }
            ':' => return Err(expected),
            _ => self.word(),
        }
        Ok(true)
    }

    fn one(&mut self, token: Token) {
        let at = self.next;
        self.next += 1;
        self.put(token, at);
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(character) = self.peek().filter(|character| belongs(*character)) {
            text.push(character);
            self.next += 1;
        }
        text
    }

    fn phrase(&mut self) -> Result<(), TextError> {
        let at = self.next;
        self.next += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => {
                    return Err(TextError {
                        fault: TextFault::Unquoted,
                        at: at + 1,
                    });
                }
                Some('"') => break,
                Some('\\') => {
                    self.next += 1;
                    text.extend(self.peek());
                }
                Some(other) => text.push(other),
            }
            self.next += 1;
        }
        self.next += 1;
        self.put(Token::Phrase(text), at);
        Ok(())
    }

    fn word(&mut self) {
        let at = self.next;
        let mut text = String::new();
        let mut escaped = false;
        while let Some(character) = self.peek().filter(|character| !ends_word(*character)) {
            self.next += 1;
            if character == '\\' {
                escaped = true;
                text.extend(self.peek());
                self.next += 1;
            } else {
                text.push(character);
            }
        }
        let names_a_field = self.peek() == Some(':')
            && self
                .characters
                .get(self.next + 1)
                .is_some_and(|next| !next.is_whitespace());
        let token = match text.as_str() {
            _ if names_a_field => {
                self.next += 1;
                Token::Field(text)
            }
            "AND" if !escaped => Token::And,
            "OR" if !escaped => Token::Or,
            "NOT" if !escaped => Token::Not,
            _ => Token::Word(text),
        };
        self.put(token, at);
    }
}
