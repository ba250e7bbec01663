//! Arenas with typed, generational keys: a key to something that is gone finds nothing, never something else.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// A key into an [`Arena`] of `T`. Stale keys are told apart by their generation.
pub struct Key<T> {
    index: u32,
    generation: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// The key as one number, to cross a boundary that knows no types.
    pub fn to_bits(self) -> u64 {
        (u64::from(self.generation) << 32) | u64::from(self.index)
    }

    /// The key from [`Key::to_bits`].
    pub fn from_bits(bits: u64) -> Self {
        Key {
            index: bits as u32,
            generation: (bits >> 32) as u32,
            of: PhantomData,
        }
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Key<T> {}
impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}
impl<T> Eq for Key<T> {}
impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.to_bits().cmp(&other.to_bits())
    }
}
impl<T> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_bits().hash(state);
    }
}
impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}v{}", self.index, self.generation)
    }
}

enum Slot<T> {
    Full { generation: u32, value: T },
    Free { generation: u32, next: Option<u32> },
}

/// Values under keys that are never confused with one another.
pub struct Arena<T> {
    slots: Vec<Slot<T>>,
    free: Option<u32>,
    len: usize,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Arena {
            slots: Vec::new(),
            free: None,
            len: 0,
        }
    }
}

impl<T> Arena<T> {
    /// An empty arena.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many values it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts `value` in and returns its key.
    ///
    /// # Panics
    /// When 2^32 values are held.
    pub fn insert(&mut self, value: T) -> Key<T> {
        self.insert_with(|_| value)
    }

    /// Puts in the value that `make` builds from its own key.
    pub fn insert_with(&mut self, make: impl FnOnce(Key<T>) -> T) -> Key<T> {
        let (index, generation) = match self.free {
            Some(index) => match self.slots.get(index as usize) {
                Some(Slot::Free { generation, next }) => {
                    self.free = *next;
                    (index, *generation)
                }
                _ => unreachable!("the free list names only free slots"),
            },
            None => {
                let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 values");
                self.slots.push(Slot::Free {
                    generation: 1,
                    next: None,
                });
                (index, 1)
            }
        };
        let key = Key {
            index,
            generation,
            of: PhantomData,
        };
        self.slots[index as usize] = Slot::Full {
            generation,
            value: make(key),
        };
        self.len += 1;
        key
    }

    /// The value under `key`, if it is still there.
    pub fn get(&self, key: Key<T>) -> Option<&T> {
        match self.slots.get(key.index as usize) {
            Some(Slot::Full { generation, value }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The value under `key`, if it is still there.
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        match self.slots.get_mut(key.index as usize) {
            Some(Slot::Full { generation, value }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// True when `key` still names a value.
    pub fn contains(&self, key: Key<T>) -> bool {
        self.get(key).is_some()
    }

    /// Takes the value under `key` out.
    pub fn remove(&mut self, key: Key<T>) -> Option<T> {
        self.get(key)?;
        let slot = self.slots.get_mut(key.index as usize)?;
        let freed = Slot::Free {
            generation: key.generation.wrapping_add(1).max(1),
            next: self.free,
        };
        match std::mem::replace(slot, freed) {
            Slot::Full { value, .. } => {
                self.free = Some(key.index);
                self.len -= 1;
                Some(value)
            }
            Slot::Free { .. } => unreachable!("checked above"),
        }
    }

    /// All values, in index order.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| match slot {
                Slot::Full { generation, value } => Some((
                    Key {
                        index: index as u32,
                        generation: *generation,
                        of: PhantomData,
                    },
                    value,
                )),
                Slot::Free { .. } => None,
            })
    }

    /// All values, in index order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key<T>, &mut T)> {
        self.slots
            .iter_mut()
            .enumerate()
            .filter_map(|(index, slot)| match slot {
                Slot::Full { generation, value } => Some((
                    Key {
                        index: index as u32,
                        generation: *generation,
                        of: PhantomData,
                    },
                    value,
                )),
                Slot::Free { .. } => None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_key_finds_nothing() {
        let mut arena = Arena::new();
        let first = arena.insert("a");
        assert_eq!(arena.remove(first), Some("a"));
        let second = arena.insert("b");
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.get(second), Some(&"b"));
        assert_eq!(arena.len(), 1);
        assert_eq!(Key::from_bits(second.to_bits()), second);
    }
}
