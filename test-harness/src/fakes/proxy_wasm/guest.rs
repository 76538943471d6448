//! The module's memory as a host call sees it.

use wasmtime::{Caller, Extern, Memory};

use super::abi::Status;
use super::state::State;

/// Why a host call did not do its work.
pub(super) enum Refusal {
    /// The module is told.
    Status(Status),
    /// The module cannot go on: it trapped while it allocated.
    Trap(wasmtime::Error),
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// The module that makes a host call.
pub(super) struct Guest<'a> {
    caller: Caller<'a, State>,
    memory: Memory,
}

impl<'a> Guest<'a> {
    pub(super) fn new(mut caller: Caller<'a, State>) -> wasmtime::Result<Self> {
        let memory = caller
            .get_export("memory")
            .and_then(Extern::into_memory)
            .ok_or_else(|| wasmtime::Error::msg("the module exports no memory"))?;
        Ok(Self { caller, memory })
    }

    pub(super) fn state(&mut self) -> &mut State {
        self.caller.data_mut()
    }

    /// A copy of the bytes at `at`.
    pub(super) fn bytes(&self, at: u32, size: u32) -> Result<Vec<u8>, Refusal> {
        let memory = self.memory.data(&self.caller);
        let end = (at as usize).checked_add(size as usize);
        end.and_then(|end| memory.get(at as usize..end))
            .map(<[u8]>::to_vec)
            .ok_or(Refusal::Status(Status::InvalidMemoryAccess))
    }

    /// The same as text.
    pub(super) fn text(&self, at: u32, size: u32) -> Result<String, Refusal> {
        Ok(String::from_utf8_lossy(&self.bytes(at, size)?).into_owned())
    }

    pub(super) fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Refusal> {
        self.memory
            .write(&mut self.caller, at as usize, bytes)
            .map_err(|_| Refusal::Status(Status::InvalidMemoryAccess))
    }

    pub(super) fn write_u32(&mut self, at: u32, value: u32) -> Result<(), Refusal> {
        self.write(at, &value.to_le_bytes())
    }

    pub(super) fn write_u64(&mut self, at: u32, value: u64) -> Result<(), Refusal> {
        self.write(at, &value.to_le_bytes())
    }

    /// Puts bytes into memory that the module allocates for it, and tells it where they are.
    /// For no bytes nothing is allocated.
    pub(super) fn hand_over(
        &mut self,
        bytes: &[u8],
        pointer_at: u32,
        size_at: u32,
    ) -> Result<(), Refusal> {
        let size = u32::try_from(bytes.len()).expect("values fit into the VM");
        let mut pointer = 0;
        if size > 0 {
            pointer = self.allocate(size)?;
            self.write(pointer, bytes)?;
        }
        self.write_u32(pointer_at, pointer)?;
        self.write_u32(size_at, size)
    }

    fn allocate(&mut self, size: u32) -> Result<u32, Refusal> {
        let allocate = ["proxy_on_memory_allocate", "malloc"]
            .iter()
            .find_map(|name| self.caller.get_export(name)?.into_func())
            .ok_or_else(|| Refusal::Trap(wasmtime::Error::msg("the module has no allocator")))?;
        let allocate = allocate
            .typed::<u32, u32>(&self.caller)
            .map_err(Refusal::Trap)?;
        match allocate
            .call(&mut self.caller, size)
            .map_err(Refusal::Trap)?
        {
            0 => Err(Refusal::Status(Status::InvalidMemoryAccess)),
            pointer => Ok(pointer),
        }
    }
}
