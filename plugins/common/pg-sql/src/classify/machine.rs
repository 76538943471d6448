//! Runs the compiled grammar over the tokens of one statement.
//!
//! A predictive recogniser: every choice is made by up to three tokens ahead, nothing is tried and
//! taken back, so the cost is linear. Return addresses are on a stack of its own with a fixed bound,
//! so nesting costs no host stack. What it accepts is a superset of the server's grammar; text the
//! server would refuse may pass, text it accepts is either read rightly or not accepted at all.

use super::record::Recorder;
use super::tables::{ACTIONS, CODE, END, SEMICOLON, SETS, STATEMENT, SWITCHES};
use super::terminals::{Terminals, Token};

/// Return addresses held at once: more than 1,000 nested parentheses, in 16 KiB.
pub const MAX_DEPTH: usize = 8192;

/// The tokens a choice may look at.
const LOOKAHEAD: usize = 3;

/// How a statement ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Read to its end.
    Recognised,
    /// A token that no rule accepts there, or nesting beyond [`MAX_DEPTH`].
    NotRecognised,
}

/// The recogniser of one text.
pub(crate) struct Machine<'t> {
    terminals: Terminals<'t>,
    now: Token,
    second: Option<Token>,
    third: Option<Token>,
    stack: Vec<u16>,
    read_to: usize,
}

impl<'t> Machine<'t> {
    pub(crate) fn new(mut terminals: Terminals<'t>) -> Self {
        let now = terminals.next();
        Self {
            terminals,
            now,
            second: None,
            third: None,
            stack: Vec::new(),
            read_to: 0,
        }
    }

    /// The next token.
    pub(crate) fn now(&self) -> Token {
        self.now
    }

    /// The terminal `index` places behind the next token.
    fn terminal(&mut self, index: usize) -> u16 {
        match index {
            0 => self.now.terminal,
            1 => self.second().terminal,
            _ => {
                self.second();
                let terminals = &mut self.terminals;
                self.third.get_or_insert_with(|| terminals.next()).terminal
            }
        }
    }

    fn second(&mut self) -> Token {
        let terminals = &mut self.terminals;
        *self.second.get_or_insert_with(|| terminals.next())
    }

    /// [`Terminals::misread`].
    pub(crate) fn misread(&self) -> Option<usize> {
        self.terminals.misread()
    }

    /// The end of the last token taken.
    pub(crate) fn read_to(&self) -> usize {
        self.read_to
    }

    /// Takes the next token.
    pub(crate) fn bump(&mut self) -> Token {
        let token = self.now;
        self.read_to = token.end;
        self.now = match self.second.take() {
            Some(second) => {
                self.second = self.third.take();
                second
            }
            None => self.terminals.next(),
        };
        token
    }

    /// Reads one statement, up to its semicolon or the end of the text.
    pub(crate) fn statement(&mut self, recorder: &mut Recorder<'_>) -> Outcome {
        self.stack.clear();
        let outcome = self.run(recorder).unwrap_or(Outcome::NotRecognised);
        if matches!(self.now.terminal, SEMICOLON | END) {
            outcome
        } else {
            Outcome::NotRecognised
        }
    }

    /// Passes over what is left of a statement that was not recognised.
    pub(crate) fn skip_statement(&mut self) {
        let mut open = 0_usize;
        loop {
            match self.now.terminal {
                END => return,
                SEMICOLON if open == 0 => return,
                super::tables::OPEN => open = open.saturating_add(1),
                super::tables::CLOSE => open = open.saturating_sub(1),
                _ => {}
            }
            self.bump();
        }
    }

    /// `None` only where the tables point outside themselves.
    fn run(&mut self, recorder: &mut Recorder<'_>) -> Option<Outcome> {
        let mut at = usize::from(STATEMENT);
        loop {
            let word = *CODE.get(at)?;
            let operand = usize::from(word & 0x0fff);
            at = at.checked_add(1)?;
            match word >> 12 {
                0 => {
                    if usize::from(self.now.terminal) != operand {
                        return None;
                    }
                    recorder.consumed(self.bump());
                }
                1 => {
                    if !contains(operand, self.now.terminal) {
                        return None;
                    }
                    recorder.consumed(self.bump());
                }
                2 => at = usize::from(*CODE.get(at)?),
                3 => {
                    if self.stack.len() >= MAX_DEPTH {
                        return None;
                    }
                    self.stack.push(u16::try_from(at.checked_add(1)?).ok()?);
                    at = usize::from(*CODE.get(at)?);
                }
                4 => match self.stack.pop() {
                    Some(address) => at = usize::from(address),
                    None => return Some(Outcome::Recognised),
                },
                5 => {
                    let (action, argument) = *ACTIONS.get(operand)?;
                    recorder.act(action, usize::from(argument), self.stack.len());
                    if recorder.has_overflowed() {
                        return None;
                    }
                }
                code @ 6..=11 => {
                    let index = usize::from(code.checked_sub(6)?);
                    let (index, wanted) = if index < LOOKAHEAD {
                        (index, true)
                    } else {
                        (index.checked_sub(LOOKAHEAD)?, false)
                    };
                    let fits = contains(operand, self.terminal(index)) == wanted;
                    at = if fits {
                        at.checked_add(1)?
                    } else {
                        usize::from(*CODE.get(at)?)
                    };
                }
                13 => {
                    let terminal = usize::from(self.now.terminal);
                    match *SWITCHES.get(operand)?.get(terminal)? {
                        0 => return None,
                        address => at = usize::from(address),
                    }
                }
                _ => return None,
            }
        }
    }
}

fn contains(set: usize, terminal: u16) -> bool {
    let word = SETS
        .get(set)
        .and_then(|set| set.get(usize::from(terminal >> 5)));
    word.is_some_and(|word| word >> (terminal & 31) & 1 == 1)
}
