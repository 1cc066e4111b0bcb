// Loaded before Portkey's gateway: it has no option for the address that it listens on, and its
// streams fail where the headers of an answer of fetch cannot be changed.
const net = require("node:net");

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  const callback = rest.find((each) => typeof each === "function");
  return listen.call(this, { port, host: "127.0.0.1", backlog: 8192 }, callback);
};

const ask = globalThis.fetch;
globalThis.fetch = async (...request) => {
  const answer = await ask(...request);
  return new Response(answer.body, answer);
};
