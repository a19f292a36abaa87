import "./setup.js";
import "../handshake.test.js";
