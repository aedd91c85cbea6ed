-- NaN fails every comparison, infinity the limit.
local function whole(number)
  return number >= 0 and number <= 9e15 and number % 1 == 0
end
