-- Sends the requests listed in a file ("METHOD /path?query" a line), one after the other; PUT carries the payload file.
-- Arguments: requests file, payload file or "-", "once" (stop at the end of the list) or "loop".
local ffi = require("ffi")
ffi.cdef("int getpid(); int kill(int pid, int sig);")
local SIGINT = 2
local heads, bodies, at, once = {}, {}, 0, false

local function contents(path)
   local file = assert(io.open(path, "rb"))
   local data = file:read("*a")
   file:close()
   return data
end

function init(args)
   local payload = args[2] ~= "-" and contents(args[2]) or ""
   once = args[3] == "once"
   for line in io.lines(args[1]) do
      local method, target = line:match("^(%S+) (%S+)$")
      local body = method == "PUT" and payload or ""
      local whole = wrk.format(method, target, nil, #body > 0 and body or nil)
      heads[#heads + 1] = whole:sub(1, #whole - #body)      -- the body is kept once, not once for each request
      bodies[#bodies + 1] = body
   end
end

function request()
   at = at + 1
   if at > #heads then
      if once then
         once = false
         wrk.thread:stop()
         ffi.C.kill(ffi.C.getpid(), SIGINT)     -- or wrk would sleep until its time is over; it still reports
      end
      at = 1
   end
   return heads[at] .. bodies[at]
end

function done(summary, latency, requests)
   local failed = summary.errors
   io.write(string.format(
      '\nRESULT {"requests": %d, "seconds": %f, "bytes": %d, "p50_ms": %f, "p99_ms": %f, "errors": %d}\n',
      summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      failed.connect + failed.read + failed.write + failed.timeout + failed.status))
end
