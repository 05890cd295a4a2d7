-- The floor of `webhook_delivery`: wrk posts the lines of the file OL_BENCH_BODIES, round and round. A line is the
-- signature of a body, a blank, and the body.

local requests, last = {}, 0

function init()
  for line in io.lines(os.getenv("OL_BENCH_BODIES")) do
    local signature, body = line:match("^(%x+) (.*)$")
    local headers = { ["content-type"] = "application/json", ["x-mitlearn-signature"] = signature }
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

function done(summary)
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  local form = '\n{"requests": %d, "microseconds": %d, "refused": %d, "lost": %d}\n'
  io.write(form:format(summary.requests, summary.duration, errors.status, lost))
end
