// Signing in: as anybody on a development node, elsewhere by a token.

import { byId, setText } from "../dom.js";
import { signIn, useToken } from "../session.js";

/** Wires the forms for a node; `onSession(session)` is called for each that succeeds. */
export function signInView({ development, userClaim }, onSession) {
  const page = byId("sign-in");
  const error = byId("sign-in-error");
  const lead = development
    ? "This is a development node: sign in as anybody."
    : "Sign in with a token of your application.";
  setText(byId("sign-in-lead"), lead);
  byId("sign-in-user").hidden = !development;
  byId("sign-in-other").open = !development;
  byId("sign-in-other").querySelector("summary").hidden = !development;

  const submitted = (form, attempt) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button");
      if (button.disabled) return;
      setText(error, "");
      button.disabled = true;
      try {
        const session = await attempt(new FormData(form));
        form.reset();
        onSession(session);
      } catch (refusal) {
        setText(error, refusal.message);
        form.querySelector("input, textarea").focus();
      } finally {
        button.disabled = false;
      }
    });
  };
  const field = (data, name) => data.get(name).trim();
  submitted(byId("sign-in-user"), async (data) => {
    if (field(data, "user") === "") throw new Error("Please enter a user ID.");
    return signIn(field(data, "user"), field(data, "name"));
  });
  submitted(byId("sign-in-token"), async (data) => {
    if (field(data, "token") === "") throw new Error("Please paste a token.");
    return useToken(field(data, "token"), field(data, "name"), userClaim);
  });

  return {
    /** Shows the page, with the reason why it is shown again. */
    show(reason = "") {
      page.hidden = false;
      setText(error, reason);
      byId(development ? "user-id" : "token").focus();
    },
    hide() {
      page.hidden = true;
    },
  };
}
