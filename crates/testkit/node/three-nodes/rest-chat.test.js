import "./setup.js";
import "../rest-chat.test.js";
