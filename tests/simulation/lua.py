"""
The scripts in process: Lua 5.1, as the servers have it, with what they add to the language.

`struct` is made anew here, a Lua function per format; that it, and all below it, answers as a
real server does is what `test_played_redis.py` compares.
"""

import hashlib
import struct
from collections.abc import Callable
from typing import Any

from lupa import lua51

from ledger.scripts import Script

_PRELUDE = rb"""
local pack_double, unpack_double, sha1hex, call, pcall_ = ...
local byte, char, sub, floor = string.byte, string.char, string.sub, math.floor
local packers, unpackers = {}, {}

local reader = {
  [1] = function(s, p) return byte(s, p) end,
}
local function wide(size, big)
  local names, sum = {}, {}
  for i = 1, size do
    names[i] = 'b' .. i
    local power = big and size - i or i - 1
    sum[i] = string.format('b%d * %.0f', i, 256 ^ power)
  end
  local read = loadstring('local byte = ... return function(s, p) local ' .. table.concat(names, ',')
    .. ' = byte(s, p, p + ' .. (size - 1) .. ') return ' .. table.concat(sum, ' + ') .. ' end')(byte)
  local parts = {}
  for i = 1, size do
    local power = big and size - i or i - 1
    parts[i] = power == 0 and 'x % 256' or string.format('floor(x / %.0f) %% 256', 256 ^ power)
  end
  local write = loadstring('local char, floor = ... return function(x) x = floor(x) return char('
    .. table.concat(parts, ',') .. ') end')(char, floor)
  return read, write
end
local readers, writers = {}, {}
for size = 1, 8 do
  readers['<' .. size], writers['<' .. size] = wide(size, false)
  readers['>' .. size], writers['>' .. size] = wide(size, true)
end

-- A list of {kind, size, order} and the total size.
local function parts_of(fmt)
  local parts, order, at, total = {}, '<', 1, 0
  local sizes = { B = 1, H = 2, d = 8 }
  while at <= #fmt do
    local kind = sub(fmt, at, at)
    at = at + 1
    if kind == '<' or kind == '>' then
      order = kind
    else
      local digits = string.match(fmt, '^%d+', at) or ''
      at = at + #digits
      local size = sizes[kind] or tonumber(digits) or (kind == 'c' and 1) or error('bad format ' .. fmt)
      parts[#parts + 1] = { kind = kind, size = size, order = order }
      total = total + size
    end
  end
  return parts, total
end

local function signed(value, size)
  local top = 256 ^ size
  return value >= top / 2 and value - top or value
end

local function unpacker(fmt)
  local parts, total = parts_of(fmt)
  local fields, uses = {}, 0
  for i = 1, #parts do
    local part, p = parts[i], uses == 0 and 'p' or 'p + ' .. uses
    uses = uses + part.size
    if part.kind == 'c' then
      fields[i] = string.format('sub(s, %s, p + %d)', p, uses - 1)
    elseif part.kind == 'd' then
      fields[i] = string.format('unpack_double(s, %s)', p)
    elseif part.kind == 'i' then
      fields[i] = string.format("signed(readers['%s%d'](s, %s), %d)", part.order, part.size, p, part.size)
    elseif part.size == 1 then
      fields[i] = string.format('byte(s, %s)', p)
    else
      fields[i] = string.format("R%s%d(s, %s)", part.order == '<' and 'l' or 'b', part.size, p)
    end
  end
  local source = { 'local readers, sub, byte, unpack_double, signed = ... ' }
  for size = 2, 8 do
    source[#source + 1] = string.format("local Rl%d, Rb%d = readers['<%d'], readers['>%d'] ", size, size, size, size)
  end
  source[#source + 1] = string.format(
    "return function(s, p) if #s - p + 1 < %d then error('data string too short') end ", total)
  if #fields <= 150 then
    source[#source + 1] = 'return ' .. table.concat(fields, ',')
      .. (#fields > 0 and ',' or '') .. 'p + ' .. total .. ' end'
  else
    source[#source + 1] = 'local t = {} '
    for i = 1, #fields do
      source[#source + 1] = string.format('t[%d] = %s ', i, fields[i])
    end
    source[#source + 1] = string.format('t[%d] = p + %d return unpack(t, 1, %d) end', #fields + 1, total, #fields + 1)
  end
  return loadstring(table.concat(source))(readers, sub, byte, unpack_double, signed)
end

local function packer(fmt)
  local parts = parts_of(fmt)
  return function(...)
    local values, out = { ... }, {}
    for i = 1, #parts do
      local part, value = parts[i], values[i]
      if part.kind == 'c' then
        if #value < part.size then
          error('string too short')
        end
        -- c0 is all of it.
        out[i] = (part.size == 0 or #value == part.size) and value or sub(value, 1, part.size)
      elseif part.kind == 'd' then
        out[i] = pack_double(value)
      elseif part.size == 1 and part.kind ~= 'i' then
        out[i] = char(floor(value) % 256)
      else
        out[i] = writers[part.order .. part.size](value)
      end
    end
    return table.concat(out)
  end
end

struct = {
  pack = function(fmt, ...)
    local pack = packers[fmt]
    if not pack then
      pack = packer(fmt)
      packers[fmt] = pack
    end
    return pack(...)
  end,
  unpack = function(fmt, s, p)
    local unpack_ = unpackers[fmt]
    if not unpack_ then
      unpack_ = unpacker(fmt)
      unpackers[fmt] = unpack_
    end
    return unpack_(s, p or 1)
  end,
}
bit = {
  band = function(a, b)
    local result, place = 0, 1
    while a > 0 and b > 0 do
      if a % 2 == 1 and b % 2 == 1 then
        result = result + place
      end
      a, b, place = floor(a / 2), floor(b / 2), place * 2
    end
    return result
  end,
}
redis = {
  call = call,
  pcall = pcall_,
  sha1hex = sha1hex,
  error_reply = function(text) return { err = text } end,
}
KEYS, ARGV = {}, {}
setmetatable(_G, { __newindex = function(_, name) error('a global variable: ' .. tostring(name)) end })
"""

_DOUBLE = struct.Struct("<d")


class CommandError(Exception):
    """An error reply; its text begins with the code."""


Call = Callable[..., Any]
"""Runs one command for a script: the name and its arguments as bytes."""


class Lua:
    """One interpreter for all servers; which of them is spoken to is `run`'s to say."""

    def __init__(self) -> None:
        self._runtime = lua51.LuaRuntime(encoding=None, unpack_returned_tuples=True)
        self._compiled: dict[str, Any] = {}
        self._call: Call | None = None
        runtime = self._runtime
        self._table = runtime.table_from
        self._done = runtime.table_from({b"ok": b"OK"})
        unpack_double, pack_double = _DOUBLE.unpack_from, _DOUBLE.pack
        runtime.execute(
            _PRELUDE,
            pack_double,
            lambda raw, at: unpack_double(raw, at - 1)[0],
            lambda raw: hashlib.sha1(raw, usedforsecurity=False).hexdigest().encode(),
            self._from_lua,
            self._from_lua_protected,
        )
        self._globals = runtime.globals()

    def run(self, script: Script, keys: list[bytes], args: list[bytes], call: Call) -> Any:
        """
        Run a script; return what its reply would be.

        Raises:
            CommandError: It returned an error reply, or a command it called did.

        """
        compiled = self._compiled.get(script.text)
        if compiled is None:
            _, _, body = script.text.partition("\n")
            compiled = self._compiled[script.text] = self._runtime.compile(body.encode())
        outer, self._call = self._call, call
        self._globals[b"KEYS"], self._globals[b"ARGV"] = self._table(keys), self._table(args)
        try:
            return self._reply(compiled())
        except lua51.LuaError as error:
            raise CommandError(f"ERR {error}") from error
        finally:
            self._call = outer

    def _from_lua(self, *args: Any) -> Any:
        assert self._call is not None
        return self._to_lua(self._call(*(_word(arg) for arg in args)))

    def _from_lua_protected(self, *args: Any) -> Any:
        try:
            return self._from_lua(*args)
        except CommandError as error:
            return self._table({b"err": str(error).encode()})

    def _to_lua(self, value: Any) -> Any:
        if isinstance(value, bytes | int):
            return value
        if value is None:
            return False
        if isinstance(value, list):
            return self._table([self._to_lua(item) for item in value])
        return self._done  # a status

    def _reply(self, value: Any) -> Any:
        if isinstance(value, bytes) or value is None:
            return value
        if isinstance(value, bool):
            return 1 if value else None
        if isinstance(value, int | float):
            return int(value)
        if (error := value[b"err"]) is not None:
            raise CommandError(error.decode())
        return [self._reply(value[i]) for i in range(1, len(value) + 1)]


def _word(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b"%.17g" % value
