-- Asks the token authority whether a request may pass. The argument is the question: permission=…&livemode=…&types=…
local credentials = { "authorization", "x-api-key" }
local identity = { "x-token-id", "x-account", "x-livemode", "x-permissions", "x-token-type" }
local undecided = '{"error":{"type":"api_error","code":"unavailable",'
  .. '"message":"The API key could not be checked just now: try again.","param":null,"request_id":"%s"}}'

-- All values of a field, because the authority must see a second key.
local function values(fields)
  local list = {}
  for index = 0, #fields do
    list[index + 1] = fields[index]
  end
  return list
end

local function ask(question, sent)
  local headers = { host = { "localhost" } }
  for _, name in ipairs({ "authorization", "x-api-key", "x-request-id" }) do
    if sent[name] ~= nil then
      headers[name] = values(sent[name])
    end
  end
  return core.httpclient():get({
    url = "http://localhost/authorize?" .. question,
    dst = "unix@authorize.sock",
    headers = headers,
    timeout = 1000,
  })
end

local function answer(txn, status, body, challenge)
  local reply = txn:reply({ status = status, body = body })
  reply:add_header("content-type", "application/json")
  reply:add_header("cache-control", "no-store")
  if challenge ~= nil then
    reply:add_header("www-authenticate", challenge[0])
  end
  txn:done(reply)
end

core.register_action("authorize", { "http-req" }, function(txn, question)
  txn:set_var("txn.asked", true)
  local sent = txn.http:req_get_headers()
  -- HAProxy made the id: see haproxy.cfg.
  local undecided = undecided:format(sent["x-request-id"][0])
  local response = ask(question, sent)
  if response.status == 401 or response.status == 403 then
    return answer(txn, response.status, response.body, response.headers["www-authenticate"])
  end
  if response.status ~= 200 then
    return answer(txn, 503, undecided, nil)
  end
  for _, name in ipairs(identity) do
    local value = response.headers[name]
    if value == nil then
      return answer(txn, 503, undecided, nil)
    end
    txn.http:req_set_header(name, value[0])
  end
  for _, name in ipairs(credentials) do
    txn.http:req_del_header(name)
  end
  txn:set_var("txn.authorized", true)
end, 1)
