-- What requests may take from an account (parts/account.lua), and the taking.

-- What may be held: live lots - debt - floor. And what is left in lots whose time has come.
local function available_in(account, p)
  local live, due = 0, 0
  for k = p + 4, p + 4 * account[p + 3], 4 do
    if account[k + 2] > now then
      live = live + account[k + 3]
    else
      due = due + account[k + 3]
    end
  end
  return live - account[p + 1] - account[p + 2], due
end

-- Take `amount` in burn order, but from lots that are barred (by id, where any is); the caller has
-- expired due lots, and knows that enough is there. Returns the number of lots and their packed allocation.
local function take(account, p, amount, barred)
  local count, packed, k = 0, '', p + 4
  local last = p + 4 * account[p + 3]
  while amount > 0 and k <= last do
    local part = account[k + 3]
    if part > 0 and not (barred and barred[account[k]]) then
      if part > amount then
        part = amount
      end
      amount = amount - part
      account[k + 3] = account[k + 3] - part
      count = count + 1
      local one = spack('<I5BI6I6', account[k], account[k + 1], account[k + 2], part)
      packed = count == 1 and one or packed .. one
    end
    k = k + 4
  end
  return count, packed
end
