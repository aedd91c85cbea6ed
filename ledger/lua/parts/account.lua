-- An account, field 'a' + I7 of `b`:
--   <B I4 I5 B   status (1 active, 2 frozen; 128 beside it: on a plan), cseq, aseq, number of pools
--   <I4          the plan's number, above 0, where it is on one
--   <B I6 i8 B   per pool: type, debt, floor, number of lots
--   <I5 B I6 I6  per lot in burn order (priority, expiry, limited first, id): id, priority, expiry ms, remaining
--   and behind all pools what parts/lot_reaches.lua says, where one of these lots is limited to some routes
-- An account with one pool, no plan, no limited lot, no debt and no floor, as nearly every one is, is written so that
-- a plain hold reads and changes its end alone (parts/plain_hold.lua). Its first and last byte say so:
--   <B               64 + status
--   <I5 B I6 I6      per lot as above; the remaining of the current one, the first that has something left, does not count
--   <I4 B            cseq, how many lots stand before the current one
--   <B B I6 I6       type, number of lots, remaining of all lots but the current one, none with something left ends before
--   <I5 B I6         the current lot's id, priority and expiry
--   <I5 I6 B         aseq, remaining of the current lot, 192 + status: no other record's last byte is above 127
-- Parsing and packing is most of what a call costs, and tables most of parsing. So an account is one flat list of
-- these numbers, made and packed in one step where it has one pool, as nearly every one has:
--   [1] status, [2] cseq, [3] aseq, [4] number of pools, and from 5 on the pools. A pool goes by its place p:
--   [p] type, [p + 1] debt, [p + 2] floor, [p + 3] number of lots; each lot k: [k] id, [k + 1] priority,
--   [k + 2] expiry, [k + 3] remaining; the first is at p + 4, the last at p + 4 * account[p + 3].
--   `plan` and `reaches` are there only where it has them.
-- include constants
local lot_formats = {}

local function lot_format(lots)
  local found = lot_formats[lots]
  if not found then
    found = string.rep('I5BI6I6', lots)
    lot_formats[lots] = found
  end
  return found
end

-- What few accounts need is made by the first that does: every function, and every name that it takes from
-- around it, costs time in every call.
local made_records

local function records()
  if not made_records then
-- include library
-- include constants
-- include lot_reaches
-- include records
    made_records = { read = read_pools, pack = pack_pools, is_limited = is_limited }
  end
  return made_records
end

local function read_account(raw)
  local status, account, rest, soonest = byte(raw), nil, nil, 0
  if status == PLAIN + 1 or status == PLAIN + 2 then
    local lots = (#raw - PLAIN_BYTES) / LOT_BYTES
    if lots < 1 or lots % 1 > 0 then
      return nil
    end
    local cseq, before, credit_type, count, others, first_end, lot, _, _, aseq, remaining, ends =
      sunpack('<I4BBBI6I6I5BI6I5I6B', raw, 2 + LOT_BYTES * lots)
    if count ~= lots or before >= lots or ends ~= PLAIN_END + status - PLAIN then
      return nil
    end
    account = { status - PLAIN, cseq, aseq, 1, credit_type, 0, 0, lots, sunpack('<' .. lot_format(lots), raw, 2) }
    account[9 + 4 * lots] = nil -- where the lots end
    if account[9 + 4 * before] ~= lot then
      return nil
    end
    account[12 + 4 * before], rest, soonest = remaining, others + remaining, first_end
  else
    local lots = (#raw - 27) / LOT_BYTES
    account = lots >= 0 and lots <= 255 and lots % 1 == 0 and { sunpack('<BI4I5BBI6i8B' .. lot_format(lots), raw) }
    if account and account[1] < 128 and account[4] == 1 and account[8] == lots then
      account[9 + 4 * lots] = nil
    else
      account = records().read(raw)
    end
    if not account or account[1] ~= 1 and account[1] ~= 2 then
      return nil
    end
  end
  local p = 5
  for _ = 1, account[4] do
    local floor_units, last, total = account[p + 2], p + 4 * account[p + 3], 0
    for k = p + 7, last + 3, 4 do
      total = total + account[k]
      if account[k - 1] < soonest and account[k] > 0 then
        return nil
      end
    end
    if account[p + 1] > MAX_AMOUNT or floor_units < 0 or floor_units > MAX_AMOUNT or total > MAX_AMOUNT then
      return nil
    end
    if rest and total ~= rest then
      return nil
    end
    p = last + 4
  end
  return account
end

local function pack_account(account)
  if account[4] ~= 1 or account.plan or account.reaches then
    return records().pack(account)
  end
  local lots, first, rest, soonest = account[8], nil, 0, nil
  for k = 9, 5 + 4 * lots, 4 do
    if account[k + 3] > 0 then
      if first then
        rest = rest + account[k + 3]
      else
        first = k
      end
      if not soonest or account[k + 2] < soonest then
        soonest = account[k + 2]
      end
    end
  end
  if not first or account[6] > 0 or account[7] > 0 then
    return spack('<BI4I5BBI6i8B' .. lot_format(lots), unpack(account))
  end
  return spack('<B' .. lot_format(lots), PLAIN + account[1], unpack(account, 9))
    .. spack('<I4BBBI6I6I5BI6I5I6B', account[2], (first - 9) / 4, account[5], lots, rest, soonest, account[first],
      account[first + 1], account[first + 2], account[3], account[first + 3], PLAIN_END + account[1])
end

-- The place of the account's pool of this type; nil if it has none.
local function pool_of(account, credit_type)
  local p = 5
  for _ = 1, account[4] do
    if account[p] == credit_type then
      return p
    end
    p = p + 4 + 4 * account[p + 3]
  end
end

-- All that remains, due or not, minus the debt: the balance that facts carry.
local function balance_of(account, p)
  local total = 0
  for k = p + 4, p + 4 * account[p + 3], 4 do
    total = total + account[k + 3]
  end
  return total - account[p + 1]
end
